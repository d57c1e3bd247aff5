/* SPDX-License-Identifier: GPL-3.0-or-later */
/* models.js - models side by side: their data, controls, one camera for all. */
'use strict';

/* The array that stands in the page as base64, little-endian. */
function decode(id, Type) {
	const node = document.getElementById(id);
	const text = atob(node.textContent);
	const bytes = new Uint8Array(text.length);

	for (let i = 0; i < text.length; i++)
		bytes[i] = text.charCodeAt(i);
	return new Type(bytes.buffer);
}

function pageColor(name, fallback) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || fallback;
}

function hexColor(text) {
	return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

class Models {
	constructor(place, painter) {
		this.place = place;
		this.painter = painter;
		this.key = place.dataset.views;
		const list = JSON.parse(document.getElementById(this.key).textContent);

		this.columns = list.columns;
		this.elements = list.elements;
		this.models = list.models.map((model, m) => this.load(model, m));
		this.centerAll();
		this.spacing = this.nearest();
		this.spinning = false;
		this.resetCamera();
		this.radius = 0.46 * this.spacing;
		this.cutAxis = null; /* null: along the view */
		this.cutFrom = -Infinity;
		this.cutTo = Infinity;
		this.readTheme();
		this.legend = new Legend(this,
			this.columns.findIndex((column) => column.name === list.color_by));
		this.build();
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
			this.readTheme();
			this.redraw();
		});
		new ResizeObserver(() => this.redraw()).observe(this.stage);
	}

	/* ---- data ---- */

	load(model, m) {
		const base = `${this.key}-${m}-`;

		return { name: model.name, time_s: model.time_s, count: model.atoms, base, version: 0,
			position: decode(`${base}position`, Float32Array),
			element: decode(`${base}element`, Uint8Array),
			id: model.ids ? decode(`${base}id`, Uint32Array) : null,
			tint: new Uint8Array(4 * model.atoms), columns: [] };
	}

	/* Values of column c, -1 for the elements; read when they are first asked for. */
	values(model, c) {
		if (c < 0)
			return model.element;
		if (!model.columns[c])
			model.columns[c] = model.count === 0 ? new Float32Array(0) :
				decode(`${model.base}c${c}`, this.columns[c].labels ? Uint8Array : Float32Array);
		return model.columns[c];
	}

	static box(model) {
		const low = [Infinity, Infinity, Infinity];
		const high = [-Infinity, -Infinity, -Infinity];

		for (let i = 0; i < model.position.length; i++) {
			low[i % 3] = Math.min(low[i % 3], model.position[i]);
			high[i % 3] = Math.max(high[i % 3], model.position[i]);
		}
		return { low, high };
	}

	/*
	 * Models of one particle share a frame: then one center for all shows what went where. If the
	 * common center is outside of one, they do not, and each is shown about its own.
	 */
	centerAll() {
		const boxes = this.models.map(Models.box);
		const whole = { low: [0, 1, 2].map((k) => Math.min(...boxes.map((b) => b.low[k]))),
			high: [0, 1, 2].map((k) => Math.max(...boxes.map((b) => b.high[k]))) };
		const middle = (b) => [0, 1, 2].map((k) =>
			Number.isFinite(b.low[k]) ? (b.low[k] + b.high[k]) / 2 : 0);
		const common = middle(whole);
		const shared = boxes.every((b, m) => this.models[m].count === 0 || common.every((x, k) =>
			x >= b.low[k] && x <= b.high[k]));

		this.reach = 1;
		this.models.forEach((model, m) => {
			const c = model.center = shared ? common : middle(boxes[m]);
			const p = model.position;

			for (let i = 0; i < p.length; i += 3)
				this.reach = Math.max(this.reach,
					Math.hypot(p[i] - c[0], p[i + 1] - c[1], p[i + 2] - c[2]));
		});
	}

	/* Typical distance to the nearest neighbor, from a sample of atoms; 2.8 A if there is none. */
	nearest() {
		const found = [];

		for (const model of this.models) {
			const p = model.position;
			const step = Math.max(Math.floor(model.count / 30), 1);

			for (let i = 0; i < model.count; i += step) {
				let best = Infinity;

				for (let j = 0; j < model.count; j++) {
					const d = (p[3 * i] - p[3 * j]) ** 2 + (p[3 * i + 1] - p[3 * j + 1]) ** 2 +
						(p[3 * i + 2] - p[3 * j + 2]) ** 2;

					if (j !== i && d > 0.25 && d < best)
						best = d;
				}
				if (best < 100)
					found.push(Math.sqrt(best));
			}
		}
		found.sort((a, b) => a - b);
		return found.length ? found[Math.floor(found.length / 2)] : 2.8;
	}

	/* ---- controls ---- */

	build() {
		const count = this.models.length;
		const columns = count <= 4 ? Math.max(count, 1) : 3;

		this.views = this.models.map((model) => new View(this, model));
		this.stage = make('div', { className: 'stage', style: `--columns:${columns}` },
			...this.views.map((view) => this.frame(view)));
		if (count === 1)
			this.stage.style.cssText += 'max-width:620px;margin:0 auto';
		this.atoms = make('div', { className: 'atoms' });
		this.tip = make('div', { className: 'tip', hidden: true });
		this.place.replaceChildren(this.controls(), this.legend.place, this.stage,
			make('div', { className: 'hint' }, 'Drag turns all models, shift or right button moves, ' +
				'wheel zooms, double click resets. Click an atom to keep its values.'),
			this.atoms, this.tip);
	}

	frame(view) {
		const { model } = view;
		const facts = [`${model.count.toLocaleString('en')} atoms`];

		if (model.time_s !== null)
			facts.unshift(`t = ${figures(model.time_s)} s`);
		return make('div', { className: 'view' },
			make('div', { className: 'name' }, make('b', {}, model.name), ' ',
				make('span', {}, facts.join(' · '))),
			view.canvas,
			saveButton('PNG', 'Save this view as an image', () => view.save()));
	}

	slider(text, title, low, high, step, value, show, act) {
		const output = make('output', {}, show(value));
		const input = make('input', { type: 'range', min: low, max: high, step, value,
			oninput: () => {
				output.textContent = show(+input.value);
				act(+input.value);
				this.redraw(true);
			} });

		return make('label', { title }, text, input, output);
	}

	controls() {
		const button = (text, title, act) => make('button', { type: 'button', title, onclick: act }, text);
		const along = make('select', { title: 'Direction of the cut', onchange: () => {
			this.cutAxis = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1] }[along.value] || null;
			this.redraw();
		} }, ...['view', 'x', 'y', 'z'].map((name) => make('option', { value: name }, name)));
		const spin = button('Spin', 'Turn slowly', () => {
			this.spinning = !this.spinning;
			spin.setAttribute('aria-pressed', this.spinning);
			this.redraw();
		});
		const whole = 2 * this.reach + 0.1;

		this.slab = whole;
		this.depth = 0;
		return make('div', { className: 'bar' },
			this.slider('Atoms', 'Radius of the spheres', 0.15, 0.6, 0.01, 0.46,
				(part) => `${(part * this.spacing).toFixed(2)} Å`,
				(part) => { this.radius = part * this.spacing; }),
			make('label', { title: 'Hide what is in front of a plane' }, 'Cut along', along),
			this.slider('at', 'Depth of the plane', 0, whole, 0.1, 0, (d) => `${d.toFixed(1)} Å`,
				(d) => { this.depth = d; this.placeCut(); }),
			this.slider('Slab', 'Thickness of what is shown behind the plane', 1, whole, 0.1, whole,
				(d) => d >= whole - 0.1 ? 'all' : `${d.toFixed(1)} Å`,
				(d) => { this.slab = d; this.placeCut(); }),
			make('span', { className: 'group' },
				button('x', 'Look along x', () => this.look(rotation([0, 1, 0], -Math.PI / 2))),
				button('y', 'Look along y', () => this.look(rotation([1, 0, 0], Math.PI / 2))),
				button('z', 'Look along z', () => this.look([1, 0, 0, 0, 1, 0, 0, 0, 1])),
				button('Reset', 'As at the beginning', () => this.reset()), spin));
	}

	placeCut() {
		const whole = 2 * this.reach;

		this.cutTo = this.depth > 0 ? this.reach - this.depth : Infinity;
		this.cutFrom = this.slab < whole ? Math.min(this.cutTo, this.reach) - this.slab : -Infinity;
	}

	/* ---- camera ---- */

	resetCamera() {
		this.turn = TILTED;
		this.zoom = 1;
		this.pan = [0, 0];
	}

	reset() {
		this.resetCamera();
		this.redraw();
	}

	look(turn) {
		this.turn = turn;
		this.redraw();
	}

	turnBy(by) {
		this.turn = straighten(multiply(by, this.turn));
		this.redraw(true);
	}

	zoomBy(factor) {
		this.zoom = Math.min(Math.max(this.zoom * factor, 0.2), 25);
		this.redraw(true);
	}

	/* In parts of the width of a view. */
	panBy(dx, dy) {
		this.pan = [this.pan[0] + dx, this.pan[1] + dy];
		this.redraw(true);
	}

	readTheme() {
		this.paper = hexColor(pageColor('--paper', '#ffffff'));
		this.ink = pageColor('--ink', '#1d2329');
	}

	/* ---- pictures ---- */

	/* @moving: more pictures will follow soon, and this one may be coarser */
	redraw(moving) {
		this.moving = this.moving || Boolean(moving);
		if (!this.waiting)
			this.waiting = requestAnimationFrame(() => this.drawAll());
	}

	drawAll() {
		const start = performance.now();
		const finest = (window.devicePixelRatio || 1) >= 2 ? 1 : 2;

		this.waiting = 0;
		if (this.painter.lost)
			this.painter = new CpuPainter();
		this.motionFine = Math.min(this.motionFine || finest, finest);
		if (this.spinning) {
			const passed = Math.min(start - (this.drawn || start), 100);

			this.turn = straighten(multiply(rotation([0, 1, 0], 0.0005 * passed), this.turn));
			this.redraw(true);
		}
		this.drawn = start;
		clearTimeout(this.rest);
		if (this.moving) {
			this.views.forEach((view) => view.draw(this.motionFine));
			requestAnimationFrame(() => this.judge(performance.now() - start));
			this.rest = setTimeout(() => {
				this.moving = false;
				this.redraw();
			}, 300);
		} else {
			this.views.forEach((view) => view.draw(Math.min(finest, 2 * this.motionFine)));
		}
	}

	/* Two pictures of a motion that took too long: the next ones are coarser. */
	judge(duration_ms) {
		this.slow = duration_ms > 70 ? (this.slow || 0) + 1 : 0;
		if (this.slow >= 2 && this.motionFine > 0.5) {
			this.motionFine /= 2;
			this.slow = 0;
		}
	}

	/* ---- values of an atom ---- */

	valueText(model, c, i) {
		const column = this.columns[c];
		const value = this.values(model, c)[i];

		if (column.labels)
			return value === NO_CLASS ? '–' : column.labels[value];
		if (Number.isNaN(value))
			return '–';
		return column.unit ? `${figures(value)} ${column.unit}` : figures(value);
	}

	atomTitle(model, i) {
		return `${this.elements[model.element[i]] || '?'} ${model.id ? model.id[i] : i}`;
	}

	hover(view, atom, event) {
		if (view.hovered !== atom) {
			view.hovered = atom;
			this.redraw();
		}
		this.tip.hidden = atom < 0;
		if (atom < 0)
			return;
		/* the column that is shown, then the first of the others */
		const order = this.columns.map((_, c) => c).sort((a, b) =>
			(b === this.legend.column) - (a === this.legend.column)).slice(0, 9);

		this.tip.replaceChildren(make('b', {}, this.atomTitle(view.model, atom)),
			make('table', {}, ...order.map((c) => make('tr', { className: c === this.legend.column ? 'now' : '' },
				make('td', {}, this.columns[c].name),
				make('td', {}, this.valueText(view.model, c, atom))))));
		const x = event.clientX + 16;
		const left = x + this.tip.offsetWidth > innerWidth ? event.clientX - 16 - this.tip.offsetWidth : x;
		const y = Math.min(event.clientY + 12, innerHeight - this.tip.offsetHeight - 8);

		this.tip.style.left = `${left}px`;
		this.tip.style.top = `${y}px`;
	}

	pin(view, atom) {
		view.pinned = view.pinned === atom ? -1 : atom;
		this.redraw();
		this.atoms.replaceChildren(...this.views.filter((v) => v.pinned >= 0).map((v) => {
			const at = [0, 1, 2].map((k) => v.model.position[3 * v.pinned + k].toFixed(2));

			return make('div', { className: 'atom' },
				make('b', {}, this.atomTitle(v.model, v.pinned)), ` of ${v.model.name} at ${at.join(', ')} Å`,
				make('dl', {}, ...this.columns.map((column, c) => make('div', { title: column.brief },
					make('dt', {}, column.name),
					make('dd', {}, this.valueText(v.model, c, v.pinned))))));
		}));
	}
}

{
	const painter = makePainter();

	for (const place of document.querySelectorAll('.views'))
		new Models(place, painter);
}
