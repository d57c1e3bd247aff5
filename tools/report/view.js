/* SPDX-License-Identifier: GPL-3.0-or-later */
/* view.js - one model on its canvas: picture, axes, scale bar, pointer. */
'use strict';

const TILTED = multiply(rotation([1, 0, 0], 0.38), rotation([0, 1, 0], -0.5));

/* Rows of the rotation by @angle about the unit vector @axis. */
function rotation(axis, angle) {
	const [x, y, z] = axis;
	const c = Math.cos(angle);
	const s = Math.sin(angle);
	const d = 1 - c;

	return [c + d * x * x, d * x * y - s * z, d * x * z + s * y,
		d * y * x + s * z, c + d * y * y, d * y * z - s * x,
		d * z * x - s * y, d * z * y + s * x, c + d * z * z];
}

function multiply(a, b) {
	const product = [];

	for (let i = 0; i < 3; i++)
		for (let j = 0; j < 3; j++)
			product.push(a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j]);
	return product;
}

/* Rows of unit length and at right angles again: rounding adds up over many turns. */
function straighten(m) {
	const norm = (v) => v.map((x) => x / Math.hypot(...v));
	const a = norm(m.slice(0, 3));
	const along = a[0] * m[3] + a[1] * m[4] + a[2] * m[5];
	const b = norm([m[3] - along * a[0], m[4] - along * a[1], m[5] - along * a[2]]);

	return [...a, ...b, a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
		a[0] * b[1] - a[1] * b[0]];
}

/* 1, 2 or 5 times a power of ten that is at most @most. */
function roundLength(most) {
	const power = Math.pow(10, Math.floor(Math.log10(most)));
	const part = most / power;

	return power * (part >= 5 ? 5 : part >= 2 ? 2 : 1);
}

class View {
	/*
	 * @group knows the camera that all its views share: turn, zoom, pan, radius, cut, reach. It is
	 * told what the pointer does: turnBy, zoomBy, panBy, hover, pin, reset.
	 */
	constructor(group, model) {
		this.group = group;
		this.model = model;
		this.canvas = document.createElement('canvas');
		this.canvas.tabIndex = 0;
		this.canvas.setAttribute('role', 'img');
		this.canvas.setAttribute('aria-label', `Atoms of ${model.name}`);
		this.context = this.canvas.getContext('2d');
		this.pinned = -1;
		this.hovered = -1;
		this.pointers = new Map();
		this.listen();
	}

	/* Pixels of the canvas follow its size on the page. */
	fit() {
		const side = Math.max(Math.round(this.canvas.clientWidth * (window.devicePixelRatio || 1)), 1);

		if (this.canvas.width !== side)
			this.canvas.width = this.canvas.height = side;
		return side;
	}

	camera(side) {
		const g = this.group;
		const scale = g.zoom * side / (2.2 * (g.reach + g.radius));
		const axis = g.cutAxis ? g.cutAxis : g.turn.slice(6, 9);

		return { turn: g.turn, center: this.model.center, scale, pan: g.pan.map((p) => p * side),
			radius: g.radius, reach: g.reach + 1e-3, paper: g.paper,
			cut: { axis, from: g.cutFrom, to: g.cutTo } };
	}

	/* @fine: samples per pixel */
	draw(fine) {
		const side = this.fit();
		const camera = this.camera(side);

		this.group.painter.paint(this.context, this.model, camera, fine);
		this.decorate(this.context, camera, side, side / Math.max(this.canvas.clientWidth, 1));
	}

	/* The same picture, larger, for a talk. */
	save() {
		const canvas = document.createElement('canvas');
		const side = 1800;

		canvas.width = canvas.height = side;
		const context = canvas.getContext('2d');
		const camera = this.camera(side);

		this.group.painter.paint(context, this.model, camera, 2);
		this.decorate(context, camera, side, side / 400);
		canvas.toBlob((blob) => saveBlob(blob, fileName(this.model.name, '.png')));
	}

	/* ---- over the atoms ---- */

	/* @unit: pixels of the canvas per pixel of the page */
	decorate(context, camera, side, unit) {
		context.save();
		context.font = `${11 * unit}px system-ui, "Segoe UI", Roboto, Arial, sans-serif`;
		this.drawAxes(context, camera, side, unit);
		this.drawScaleBar(context, camera, side, unit);
		this.drawRing(context, camera, side, unit, this.hovered, 1.5);
		this.drawRing(context, camera, side, unit, this.pinned, 3);
		context.restore();
	}

	/* Lines and texts with a rim of paper, to be read over atoms. */
	drawLine(context, unit, color, width, x0, y0, x1, y1) {
		for (const [stroke, extra] of [[css(this.group.paper), 3], [color, 0]]) {
			context.strokeStyle = stroke;
			context.lineWidth = (width + extra) * unit;
			context.beginPath();
			context.moveTo(x0, y0);
			context.lineTo(x1, y1);
			context.stroke();
		}
	}

	drawText(context, unit, color, text, x, y) {
		context.textAlign = 'center';
		context.lineJoin = 'round';
		context.lineWidth = 3 * unit;
		context.strokeStyle = css(this.group.paper);
		context.strokeText(text, x, y);
		context.fillStyle = color;
		context.fillText(text, x, y);
	}

	drawAxes(context, camera, side, unit) {
		const colors = ['#d55e00', '#009e73', '#0072b2'];
		const x = 30 * unit;
		const y = side - 30 * unit;
		const arms = [0, 1, 2].map((k) => ({ k, at: [camera.turn[k], camera.turn[3 + k],
			camera.turn[6 + k]] }));

		arms.sort((a, b) => a.at[2] - b.at[2]); /* the nearest is drawn last */
		context.textBaseline = 'middle';
		for (const { k, at } of arms) {
			this.drawLine(context, unit, colors[k], 1.5, x, y, x + 17 * unit * at[0],
				y - 17 * unit * at[1]);
			this.drawText(context, unit, colors[k], 'xyz'[k], x + 24 * unit * at[0],
				y - 24 * unit * at[1]);
		}
	}

	drawScaleBar(context, camera, side, unit) {
		const length = roundLength(0.3 * side / camera.scale);
		const px = length * camera.scale;
		const x = side - 12 * unit;
		const y = side - 14 * unit;
		const text = length < 10 ? `${+length.toPrecision(1)} Å` : `${+(length / 10).toPrecision(1)} nm`;

		this.drawLine(context, unit, this.group.ink, 3, x - px, y, x, y);
		context.textBaseline = 'bottom';
		this.drawText(context, unit, this.group.ink, text, x - px / 2, y - 5 * unit);
	}

	drawRing(context, camera, side, unit, atom, width) {
		if (atom < 0 || !this.model.tint[4 * atom + 3] ||
		    isCut(camera, this.model.position, atom))
			return;
		const p = turned(camera, this.model.position, atom);

		for (const [color, extra] of [['#ffffff', 2.5], ['#101317', 0]]) {
			context.strokeStyle = color;
			context.lineWidth = (width + extra) * unit;
			context.beginPath();
			context.arc(side / 2 + camera.pan[0] + p[0] * camera.scale,
				side / 2 - camera.pan[1] - p[1] * camera.scale,
				camera.radius * camera.scale + 1.5 * unit, 0, 2 * Math.PI);
			context.stroke();
		}
	}

	/* ---- pointer ---- */

	atomAt(event) {
		const box = this.canvas.getBoundingClientRect();
		const side = this.canvas.width;
		const unit = side / box.width;

		return pickAtom(this.model, this.camera(side), (event.clientX - box.left) * unit - side / 2,
			side / 2 - (event.clientY - box.top) * unit);
	}

	drag(event, last) {
		const size = this.canvas.clientWidth;
		const dx = (event.clientX - last.x) / size;
		const dy = (event.clientY - last.y) / size;

		if (this.pointers.size === 2) { /* pinch */
			const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId);
			const other = others[0][1];
			const before = Math.hypot(last.x - other.x, last.y - other.y);
			const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);

			if (before > 0)
				this.group.zoomBy(after / before);
		} else if (event.shiftKey || event.buttons & 6) {
			this.group.panBy(dx, -dy);
		} else {
			this.group.turnBy(rotation([0, 1, 0], 4 * dx));
			this.group.turnBy(rotation([1, 0, 0], 4 * dy));
		}
	}

	listen() {
		const c = this.canvas;

		c.addEventListener('pointerdown', (event) => {
			c.setPointerCapture(event.pointerId);
			this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
			this.moved = 0;
		});
		c.addEventListener('pointermove', (event) => {
			const last = this.pointers.get(event.pointerId);

			if (!last) {
				this.group.hover(this, this.atomAt(event), event);
				return;
			}
			this.moved += Math.hypot(event.clientX - last.x, event.clientY - last.y);
			if (this.moved > 3) {
				this.group.hover(this, -1, event);
				this.drag(event, last);
			}
			this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
		});
		c.addEventListener('pointerup', (event) => {
			if (this.pointers.delete(event.pointerId) && this.moved <= 3 && event.button === 0)
				this.group.pin(this, this.atomAt(event));
		});
		c.addEventListener('pointercancel', (event) => this.pointers.delete(event.pointerId));
		c.addEventListener('pointerleave', (event) => this.group.hover(this, -1, event));
		c.addEventListener('contextmenu', (event) => event.preventDefault());
		c.addEventListener('dblclick', () => this.group.reset());
		c.addEventListener('wheel', (event) => {
			event.preventDefault();
			this.group.zoomBy(Math.exp(-0.0015 * event.deltaY * (event.deltaMode ? 20 : 1)));
		}, { passive: false });
		c.addEventListener('keydown', (event) => this.key(event));
	}

	key(event) {
		const turns = { ArrowLeft: [0, 1, 0, -0.1], ArrowRight: [0, 1, 0, 0.1],
			ArrowUp: [1, 0, 0, -0.1], ArrowDown: [1, 0, 0, 0.1] };
		const turn = turns[event.key];

		if (turn)
			this.group.turnBy(rotation(turn.slice(0, 3), turn[3]));
		else if (event.key === '+' || event.key === '=')
			this.group.zoomBy(1.15);
		else if (event.key === '-')
			this.group.zoomBy(1 / 1.15);
		else
			return;
		event.preventDefault();
	}
}
