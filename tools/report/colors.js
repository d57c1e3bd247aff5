/* SPDX-License-Identifier: GPL-3.0-or-later */
/* colors.js - colors of elements, classes and numbers. All are [r, g, b], 0..255. */
'use strict';

/* Evenly spaced points of the maps; between them the color is linear. */
const MAPS = {
	/* viridis: S. van der Walt and N. Smith, matplotlib 2.0, CC0 */
	viridis: [
		[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
		[31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37],
	],
	/* blue to red through grey: for numbers about zero (K. Moreland, 2009) */
	diverging: [
		[59, 76, 192], [124, 159, 249], [221, 221, 221], [244, 152, 122], [180, 4, 38],
	],
};

/* Okabe and Ito, as in the plots. */
const CLASS_COLORS = [
	[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233],
	[90, 96, 104], [216, 200, 0],
];

const NO_COLOR = [104, 100, 94]; /* darker than the middle of any map */

/* The metals that are seen most, told apart with any kind of color vision. */
const ELEMENT_COLORS = {
	78: [122, 160, 196], 46: [230, 159, 0], 77: [0, 96, 168], 28: [0, 158, 115],
	79: [240, 196, 64], 47: [184, 190, 198], 29: [200, 100, 40], 45: [204, 121, 167],
	26: [192, 92, 60], 27: [216, 136, 176], 13: [150, 160, 200], 6: [90, 96, 104],
	8: [213, 60, 40], 14: [216, 186, 140], 82: [100, 106, 120], 55: [150, 90, 170],
	35: [165, 60, 30], 53: [130, 40, 160], 22: [160, 170, 180], 73: [70, 140, 190],
};

function mapColor(name, part) {
	const points = MAPS[name];
	const at = Math.min(Math.max(part, 0), 1) * (points.length - 1);
	const k = Math.min(Math.floor(at), points.length - 2);

	return [0, 1, 2].map((c) => Math.round(
		points[k][c] + (at - k) * (points[k + 1][c] - points[k][c])));
}

/* 256 colors of a map as one array, for many atoms. */
function mapTable(name) {
	const table = new Uint8Array(3 * 256);

	for (let i = 0; i < 256; i++)
		table.set(mapColor(name, i / 255), 3 * i);
	return table;
}

/* More classes than colors: the same again, paler each time. */
function classColor(index) {
	const pale = Math.min(0.25 * Math.floor(index / CLASS_COLORS.length), 0.75);

	return CLASS_COLORS[index % CLASS_COLORS.length].map((c) => Math.round(c + pale * (255 - c)));
}

function elementColor(number) {
	return ELEMENT_COLORS[number] || classColor(number % CLASS_COLORS.length);
}

function css(color) {
	return `rgb(${color[0]}, ${color[1]}, ${color[2]})`;
}
