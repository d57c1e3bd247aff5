/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page.js - what every page can do: hand out its plots as files. */
'use strict';

/* Offer @blob as a file. */
function saveBlob(blob, name) {
	const link = document.createElement('a');

	link.href = URL.createObjectURL(blob);
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* A file name from the title of a figure. */
function fileName(title, ending) {
	const stem = title.normalize('NFKD').replace(/[^A-Za-z0-9.]+/g, '-').replace(/^-+|-+$/g, '');

	return (stem || 'figure').toLowerCase() + ending;
}

function saveButton(text, title, action) {
	const button = document.createElement('button');

	button.className = 'save';
	button.type = 'button';
	button.textContent = text;
	button.title = title;
	button.addEventListener('click', action);
	return button;
}

/* Plots are complete images for light paper: what is saved looks so on a dark page, too. */
for (const svg of document.querySelectorAll('svg.plot')) {
	const panel = svg.closest('.panel');
	const place = panel || svg.closest('figure');
	const heading = place.querySelector('h3, h4');

	if (panel)
		panel.style.position = 'relative';
	place.append(saveButton('SVG', 'Save this plot as an SVG image', () => {
		const text = new XMLSerializer().serializeToString(svg);

		saveBlob(new Blob([text], { type: 'image/svg+xml' }),
			fileName(heading ? heading.textContent : '', '.svg'));
	}));
}
