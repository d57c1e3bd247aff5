/* SPDX-License-Identifier: GPL-3.0-or-later */
/* legend.js - what the colors of the atoms mean: a column of values, its classes or its scale. */
'use strict';

const NO_CLASS = 255; /* byte of an atom without class */

/* An element with properties and children: make('button', { type: 'button' }, 'Reset'). */
function make(tag, properties, ...children) {
	const node = document.createElement(tag);

	for (const [key, value] of Object.entries(properties || {})) {
		if (key.startsWith('on'))
			node.addEventListener(key.slice(2), value);
		else if (key.includes('-') || key === 'style')
			node.setAttribute(key, value);
		else
			node[key] = value;
	}
	node.append(...children);
	return node;
}

/* Four figures, without a tail of zeros; a true minus sign. */
function figures(value) {
	const size = Math.abs(value);
	const text = size !== 0 && (size >= 1e6 || size < 1e-3) ? value.toExponential(2) :
		String(+value.toPrecision(4));

	return text.replace('-', '\u2212');
}

class Legend {
	/* @group holds models and columns; column -1 is the element. Writes the tint of all models. */
	constructor(group, column) {
		this.group = group;
		this.hidden = new Set(); /* classes that are not shown */
		this.place = make('div', { className: 'legend' });
		this.select = make('select', { onchange: () => this.choose(+this.select.value) },
			make('option', { value: -1 }, 'element'),
			...group.columns.map((c, i) => make('option', { value: i }, c.name)));
		this.select.value = column;
		this.choose(column);
	}

	choose(c) {
		this.column = c;
		this.hidden.clear();
		this.range = null;
		const column = this.group.columns[c];

		this.classes = !column || column.labels ? this.countClasses(c) : null;
		if (!this.classes) {
			this.full = this.fullRange(c, 0);
			this.range = this.full.slice();
			this.map = this.range[0] < 0 && this.range[1] > 0 ? 'diverging' : 'viridis';
			if (this.map === 'diverging') /* grey is zero */
				this.range = this.symmetric(this.range);
		}
		this.show();
		this.recolor();
	}

	symmetric(range) {
		const most = Math.max(Math.abs(range[0]), Math.abs(range[1]));

		return [-most, most];
	}

	/* Atoms of each class in each model, in order of the classes; those that nobody has are left out. */
	countClasses(c) {
		const counts = new Map();

		this.group.models.forEach((model, m) => {
			for (const value of this.group.values(model, c)) {
				if (!counts.has(value))
					counts.set(value, this.group.models.map(() => 0));
				counts.get(value)[m]++;
			}
		});
		return [...counts.entries()].sort((a, b) => a[0] - b[0]);
	}

	/* From the @part smallest to the @part largest of all values. */
	fullRange(c, part) {
		const all = [];

		for (const model of this.group.models)
			for (const value of this.group.values(model, c))
				if (!Number.isNaN(value))
					all.push(value);
		if (!all.length)
			return [0, 1];
		const sorted = Float32Array.from(all).sort();
		const skip = Math.floor(part * (sorted.length - 1));
		const range = [sorted[skip], sorted[sorted.length - 1 - skip]];

		return range[0] < range[1] ? range : [range[0] - 0.5, range[1] + 0.5];
	}

	classLabel(value) {
		if (this.column < 0)
			return this.group.elements[value] || '?';
		return value === NO_CLASS ? 'none' : this.group.columns[this.column].labels[value];
	}

	classColorOf(value) {
		if (this.column < 0)
			return elementColor(value);
		return value === NO_CLASS ? NO_COLOR : classColor(value);
	}

	show() {
		const column = this.group.columns[this.column];
		const parts = this.classes ? this.classes.map((entry) => this.classButton(entry)) :
			this.scaleParts(column);

		this.place.replaceChildren(make('label', {}, 'Color by', this.select), ...parts,
			make('span', { className: 'brief' }, column ? column.brief : ''));
	}

	classButton([value, counts]) {
		const button = make('button', { className: 'class', type: 'button', title: 'Show or hide',
			'aria-pressed': 'true', onclick: () => {
				if (!this.hidden.delete(value))
					this.hidden.add(value);
				button.setAttribute('aria-pressed', !this.hidden.has(value));
				this.recolor();
			} },
		make('i', { style: `background:${css(this.classColorOf(value))}` }), this.classLabel(value),
		make('small', {}, counts.map((n) => n.toLocaleString('en')).join(' → ')));

		return button;
	}

	scaleParts(column) {
		const canvas = make('canvas', { width: 256, height: 1 });
		const end = (k) => make('input', { type: 'number', step: 'any', title: 'End of the colors',
			value: +this.range[k].toPrecision(4), onchange: (event) => {
				if (event.target.value !== '') {
					this.range[k] = +event.target.value;
					this.recolor();
				}
			} });
		const map = make('select', { title: 'Colors', onchange: () => {
			this.map = map.value;
			this.show();
			this.recolor();
		} }, ...Object.keys(MAPS).map((name) => make('option', { value: name }, name)));
		const range = (text, title, part) => make('button', { type: 'button', title, onclick: () => {
			this.range = this.fullRange(this.column, part);
			if (this.map === 'diverging')
				this.range = this.symmetric(this.range);
			this.show();
			this.recolor();
		} }, text);
		const context = canvas.getContext('2d');
		const missing = this.group.models.some((model) => this.group.values(model, this.column).some(Number.isNaN));

		for (let i = 0; i < 256; i++) {
			context.fillStyle = css(mapColor(this.map, i / 255));
			context.fillRect(i, 0, 1, 1);
		}
		map.value = this.map;
		return [make('span', { className: 'scale' }, end(0), canvas, end(1), column.unit),
			make('span', { className: 'group' }, range('full', 'From the least to the largest value', 0),
				range('1–99 %', 'Without the outermost values', 0.01), map),
			...(missing ? [make('span', { className: 'class' },
				make('i', { style: `background:${css(NO_COLOR)}` }), 'no value')] : [])];
	}

	recolor() {
		for (const model of this.group.models)
			if (this.classes)
				this.tintClasses(model);
			else
				this.tintNumbers(model);
		this.group.redraw();
	}

	tintClasses(model) {
		const values = this.group.values(model, this.column);
		const colors = new Map(this.classes.map(([value]) => [value, this.classColorOf(value)]));

		for (let i = 0; i < model.count; i++) {
			model.tint.set(colors.get(values[i]), 4 * i);
			model.tint[4 * i + 3] = this.hidden.has(values[i]) ? 0 : 255;
		}
		model.version++;
	}

	tintNumbers(model) {
		const values = this.group.values(model, this.column);
		const table = mapTable(this.map);
		const [low, high] = this.range;
		const scale = high > low ? 255 / (high - low) : 0;

		for (let i = 0; i < model.count; i++) {
			const at = 3 * Math.round(Math.min(Math.max((values[i] - low) * scale, 0), 255));

			for (let k = 0; k < 3; k++)
				model.tint[4 * i + k] = Number.isNaN(values[i]) ? NO_COLOR[k] : table[at + k];
			model.tint[4 * i + 3] = 255;
		}
		model.version++;
	}
}
