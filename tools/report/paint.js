/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * paint.js - atoms as lit spheres, seen in parallel projection.
 *
 * Two painters with one method and the same picture: paint(context, atoms, camera, fine) fills the
 * canvas of a 2D context. GpuPainter uses WebGL through three.js; CpuPainter needs nothing but the
 * canvas and resolves depth per pixel, too.
 *
 *   atoms   { count, position: Float32Array [count][3] in A, tint: Uint8Array [count][4]: color, and
 *           255 for atoms that are shown, version: grows when tint changes }
 *   camera  { turn: [9] rows of the rotation, center: [3] A, scale: px per A, pan: [2] px,
 *           radius: A, reach: A from the center to the farthest atom, paper: [r, g, b],
 *           cut: { axis: [3], from, to } in A from the center: atoms between are shown }
 *   fine    samples per pixel along each axis
 */
'use strict';

/* Light from the upper left, over the viewer's shoulder; the same numbers in both painters. */
const LIGHT = [-0.381, 0.461, 0.802];
const HALF = [-0.201, 0.243, 0.949]; /* between light and viewer */
const AMBIENT = 0.42;
const DIFFUSE = 0.62;
const GLOSS = 0.2;
const SHINE = 40;
const RIM = 0.42;  /* of the radius: spheres darken where they turn away ... */
const DARK = 0.58; /* ... down to this part, which sets neighbors apart */
const HAZE = 0.42; /* part of the paper in the color of the farthest atoms */

function smooth(from, to, x) {
	const t = Math.min(Math.max((x - from) / (to - from), 0), 1);

	return t * t * (3 - 2 * t);
}

/* Where an atom is after turning: right, up, toward the viewer, in A from the center. */
function turned(camera, position, i) {
	const t = camera.turn;
	const x = position[3 * i] - camera.center[0];
	const y = position[3 * i + 1] - camera.center[1];
	const z = position[3 * i + 2] - camera.center[2];

	return [t[0] * x + t[1] * y + t[2] * z, t[3] * x + t[4] * y + t[5] * z,
		t[6] * x + t[7] * y + t[8] * z];
}

function isCut(camera, position, i) {
	const a = camera.cut.axis;
	const d = a[0] * (position[3 * i] - camera.center[0]) +
		a[1] * (position[3 * i + 1] - camera.center[1]) +
		a[2] * (position[3 * i + 2] - camera.center[2]);

	return d < camera.cut.from || d > camera.cut.to;
}

/* The atom that is seen at (x, y) px from the middle of the view, y up; -1: none. */
function pickAtom(atoms, camera, x, y) {
	const r2 = camera.radius * camera.radius;
	const px = (x - camera.pan[0]) / camera.scale;
	const py = (y - camera.pan[1]) / camera.scale;
	let best = -1;
	let front = -Infinity;

	for (let i = 0; i < atoms.count; i++) {
		if (!atoms.tint[4 * i + 3])
			continue;
		const p = turned(camera, atoms.position, i);
		const d2 = (p[0] - px) * (p[0] - px) + (p[1] - py) * (p[1] - py);

		if (d2 > r2)
			continue;
		const z = p[2] + Math.sqrt(r2 - d2);

		if (z > front && !isCut(camera, atoms.position, i)) {
			front = z;
			best = i;
		}
	}
	return best;
}

/* ---- without WebGL ------------------------------------------------------------------------- */

class CpuPainter {
	constructor() {
		this.canvas = document.createElement('canvas');
		this.context = this.canvas.getContext('2d');
		this.sprite = { radius: -1 };
	}

	/* Buffers for w x h pixels: depth and atom of each, the picture. */
	resize(w, h) {
		if (this.canvas.width === w && this.canvas.height === h)
			return;
		this.canvas.width = w;
		this.canvas.height = h;
		this.depth = new Float32Array(w * h);
		this.atom = new Int32Array(w * h);
		this.image = this.context.createImageData(w, h);
		this.pixels = new Uint32Array(this.image.data.buffer);
	}

	/* In parallel projection all spheres of one radius are one disc: height and light of its pixels. */
	makeSprite(radius) {
		if (this.sprite.radius === radius)
			return this.sprite;
		const half = Math.ceil(radius);
		const side = 2 * half + 1;
		const s = { radius, half, side, width: new Int32Array(side),
			height: new Float32Array(side * side), shade: new Float32Array(side * side),
			gloss: new Float32Array(side * side) };

		for (let j = -half; j <= half; j++) {
			s.width[j + half] = -1;
			for (let i = -half; i <= half; i++) {
				const n2 = 1 - (i * i + j * j) / (radius * radius);

				if (n2 < 0)
					continue;
				const n = [i / radius, -j / radius, Math.sqrt(n2)];
				const at = (j + half) * side + i + half;
				const lit = n[0] * LIGHT[0] + n[1] * LIGHT[1] + n[2] * LIGHT[2];
				const mirror = n[0] * HALF[0] + n[1] * HALF[1] + n[2] * HALF[2];

				s.width[j + half] = Math.max(s.width[j + half], i);
				s.height[at] = n[2] * radius;
				s.shade[at] = (AMBIENT + DIFFUSE * Math.max(lit, 0)) *
					(DARK + (1 - DARK) * smooth(0, RIM, n[2]));
				s.gloss[at] = 255 * GLOSS * Math.pow(Math.max(mirror, 0), SHINE);
			}
		}
		this.sprite = s;
		return s;
	}

	/* Where the atoms are in the picture; those that are hidden get no number in `order`. */
	project(atoms, camera, fine, w, h) {
		const { position, tint, count } = atoms;
		const [a0, a1, a2, b0, b1, b2, c0, c1, c2] = camera.turn;
		const [x0, y0, z0] = camera.center;
		const [n0, n1, n2] = camera.cut.axis;
		const { from, to } = camera.cut;
		const scale = camera.scale * fine;
		const left = w / 2 + camera.pan[0] * fine;
		const top = h / 2 - camera.pan[1] * fine;
		let shown = 0;

		if (!this.order || this.order.length < count) {
			this.x = new Int32Array(count);
			this.y = new Int32Array(count);
			this.z = new Float32Array(count);
			this.order = new Int32Array(count);
		}
		for (let i = 0; i < count; i++) {
			const x = position[3 * i] - x0;
			const y = position[3 * i + 1] - y0;
			const z = position[3 * i + 2] - z0;
			const d = n0 * x + n1 * y + n2 * z;

			if (!tint[4 * i + 3] || d < from || d > to)
				continue;
			this.x[i] = Math.round(left + scale * (a0 * x + a1 * y + a2 * z));
			this.y[i] = Math.round(top - scale * (b0 * x + b1 * y + b2 * z));
			this.z[i] = c0 * x + c1 * y + c2 * z;
			this.order[shown++] = i;
		}
		return shown;
	}

	/* Which atom each pixel shows. */
	sort(atoms, camera, fine, w, h) {
		const scale = camera.scale * fine;
		const { half, side, width, height } = this.makeSprite(Math.max(camera.radius * scale, 0.8));
		const shown = this.project(atoms, camera, fine, w, h);
		const { depth, atom } = this;

		depth.fill(-Infinity);
		atom.fill(-1);
		for (let n = 0; n < shown; n++) {
			const i = this.order[n];
			const cx = this.x[i];
			const cy = this.y[i];
			const cz = this.z[i] * scale;
			const bottom = Math.min(half, h - 1 - cy);

			for (let j = Math.max(-half, -cy); j <= bottom; j++) {
				const reach = width[j + half];
				const row = (cy + j) * w + cx;
				const middle = (j + half) * side + half;
				const last = Math.min(reach, w - 1 - cx);

				for (let k = Math.max(-reach, -cx); k <= last; k++) {
					const z = cz + height[middle + k];

					if (z > depth[row + k]) {
						depth[row + k] = z;
						atom[row + k] = i;
					}
				}
			}
		}
	}

	shade(atoms, camera, w, h) {
		const { sprite: s, atom, pixels } = this;
		const paper = camera.paper;
		const empty = (255 << 24) | (paper[2] << 16) | (paper[1] << 8) | paper[0];

		for (let y = 0, at = 0; y < h; y++)
			for (let x = 0; x < w; x++, at++) {
				const i = atom[at];

				if (i < 0) {
					pixels[at] = empty;
					continue;
				}
				const k = (y - this.y[i] + s.half) * s.side + x - this.x[i] + s.half;
				const far = (camera.reach - this.z[i]) / (2 * camera.reach);
				const haze = HAZE * Math.min(Math.max(far, 0), 1);
				const light = s.shade[k] * (1 - haze);
				const gloss = s.gloss[k] * (1 - haze);
				const r = atoms.tint[4 * i] * light + gloss + paper[0] * haze;
				const g = atoms.tint[4 * i + 1] * light + gloss + paper[1] * haze;
				const b = atoms.tint[4 * i + 2] * light + gloss + paper[2] * haze;

				pixels[at] = (255 << 24) | (Math.min(b, 255) << 16) |
					(Math.min(g, 255) << 8) | Math.min(r, 255);
			}
	}

	paint(context, atoms, camera, fine) {
		const { width, height } = context.canvas;
		const w = Math.round(width * fine);
		const h = Math.round(height * fine);

		this.resize(w, h);
		this.sort(atoms, camera, fine, w, h);
		this.shade(atoms, camera, w, h);
		this.context.putImageData(this.image, 0, 0);
		context.imageSmoothingEnabled = true;
		context.imageSmoothingQuality = 'high';
		context.drawImage(this.canvas, 0, 0, w, h, 0, 0, width, height);
	}
}

/* ---- with WebGL ---------------------------------------------------------------------------- */

const VERTEX = `
attribute vec4 tint;
uniform mat3 turn;
uniform vec3 center, cutAxis;
uniform vec2 pan, perA, cutRange; /* perA: of the clip space */
uniform float radius, radiusPx, reach, depth;
varying vec3 color;
varying float haze;

void main() {
	vec3 p = position - center;
	float d = dot(cutAxis, p);
	vec3 q = turn * p;

	gl_Position = vec4(q.xy * perA + pan, -q.z / depth, 1.0);
	gl_PointSize = 2.0 * radiusPx + 2.0;
	color = tint.rgb;
	haze = clamp((reach - q.z) / (2.0 * reach), 0.0, 1.0);
	if (tint.a < 0.5 || d < cutRange.x || d > cutRange.y)
		gl_Position = vec4(2.0, 2.0, 2.0, 1.0); /* outside of what is drawn */
}`;

const FRAGMENT = `
uniform float radius, radiusPx, depth;
uniform vec3 paper;
varying vec3 color;
varying float haze;

void main() {
	vec2 at = (gl_PointCoord * 2.0 - 1.0) * vec2(1.0, -1.0) * (radiusPx + 1.0) / radiusPx;
	float n2 = 1.0 - dot(at, at);

	if (n2 < 0.0)
		discard;
	vec3 n = vec3(at, sqrt(n2));
	float shade = AMBIENT + DIFFUSE * max(dot(n, LIGHT), 0.0);
	float gloss = GLOSS * pow(max(dot(n, HALF), 0.0), SHINE);

	shade *= DARK + (1.0 - DARK) * smoothstep(0.0, RIM, n.z);
	gl_FragColor = vec4(mix(color * shade + gloss, paper, HAZE * haze), 1.0);
	gl_FragDepthEXT = gl_FragCoord.z - 0.5 * n.z * radius / depth;
}`;

class GpuPainter {
	/* Throws where WebGL, or depth from the fragment shader, is missing. */
	constructor(forced) {
		const canvas = document.createElement('canvas');
		const wishes = { antialias: false, alpha: false, depth: true,
			failIfMajorPerformanceCaveat: !forced };
		const context = canvas.getContext('webgl2', wishes) || canvas.getContext('webgl', wishes);

		if (!context)
			throw new Error('no WebGL');
		this.renderer = new THREE.WebGLRenderer({ canvas, context });
		if (!this.renderer.capabilities.isWebGL2 && !context.getExtension('EXT_frag_depth'))
			throw new Error('no EXT_frag_depth');
		this.renderer.setPixelRatio(1);
		this.largest = context.getParameter(context.ALIASED_POINT_SIZE_RANGE)[1];
		this.side = Math.min(context.getParameter(context.MAX_RENDERBUFFER_SIZE), 8192);
		this.camera = new THREE.Camera();
		this.material = this.makeMaterial();
		this.scenes = new WeakMap();
		this.w = this.h = 0;
		canvas.addEventListener('webglcontextlost', () => { this.lost = true; });
	}

	makeMaterial() {
		const number = (x) => x.toFixed(4);
		const vector = (v) => `vec3(${v.map(number).join(', ')})`;
		const uniform = (value) => ({ value });

		return new THREE.ShaderMaterial({
			vertexShader: VERTEX,
			fragmentShader: FRAGMENT,
			extensions: { fragDepth: true },
			defines: { AMBIENT: number(AMBIENT), DIFFUSE: number(DIFFUSE),
				GLOSS: number(GLOSS), SHINE: number(SHINE), RIM: number(RIM),
				DARK: number(DARK), HAZE: number(HAZE), LIGHT: vector(LIGHT),
				HALF: vector(HALF) },
			uniforms: { turn: uniform(new THREE.Matrix3()), center: uniform(new THREE.Vector3()),
				cutAxis: uniform(new THREE.Vector3()), cutRange: uniform(new THREE.Vector2()),
				pan: uniform(new THREE.Vector2()), perA: uniform(new THREE.Vector2()),
				paper: uniform(new THREE.Vector3()), radius: uniform(1),
				radiusPx: uniform(1), reach: uniform(1), depth: uniform(1) },
		});
	}

	/* Atoms go to the graphics memory once, and their colors when they change. */
	sceneOf(atoms) {
		let own = this.scenes.get(atoms);

		if (!own) {
			const geometry = new THREE.BufferGeometry();

			geometry.setAttribute('position', new THREE.BufferAttribute(atoms.position, 3));
			geometry.setAttribute('tint', new THREE.BufferAttribute(atoms.tint, 4, true));
			own = { scene: new THREE.Scene(), points: new THREE.Points(geometry, this.material),
				version: atoms.version };
			own.points.frustumCulled = false;
			own.scene.add(own.points);
			this.scenes.set(atoms, own);
		}
		if (own.version !== atoms.version)
			own.points.geometry.attributes.tint.needsUpdate = true;
		own.version = atoms.version;
		return own.scene;
	}

	/* The drawing buffer only grows; each view uses its lower left corner. */
	grow(w, h) {
		if (w > this.w || h > this.h) {
			this.w = Math.max(w, this.w);
			this.h = Math.max(h, this.h);
			this.renderer.setSize(this.w, this.h, false);
		}
		this.renderer.setViewport(0, 0, w, h);
		this.renderer.setScissor(0, 0, w, h);
		this.renderer.setScissorTest(true);
	}

	aim(camera, fine, w, h) {
		const u = this.material.uniforms;

		u.turn.value.set(...camera.turn);
		u.center.value.set(...camera.center);
		u.cutAxis.value.set(...camera.cut.axis);
		u.cutRange.value.set(camera.cut.from, camera.cut.to);
		u.pan.value.set(2 * camera.pan[0] * fine / w, 2 * camera.pan[1] * fine / h);
		u.perA.value.set(2 * camera.scale * fine / w, 2 * camera.scale * fine / h);
		u.paper.value.set(...camera.paper.map((c) => c / 255));
		u.radius.value = camera.radius;
		u.radiusPx.value = Math.max(camera.radius * camera.scale * fine, 0.8);
		u.reach.value = camera.reach;
		u.depth.value = 2 * camera.reach + 2 * camera.radius; /* room behind and before */
	}

	paint(context, atoms, camera, wanted) {
		const { width, height } = context.canvas;
		const room = Math.max(width, height);
		const disc = 2 * camera.radius * camera.scale + 2;
		/* points have a largest size, and so has the buffer */
		const fine = Math.min(wanted, this.largest / disc, this.side / (room + disc));
		/* a point whose middle is outside is dropped: draw a margin for those that reach in */
		const margin = 32 * Math.ceil(disc * fine / 64);
		const w = Math.round(width * fine) + 2 * margin;
		const h = Math.round(height * fine) + 2 * margin;

		this.grow(w, h);
		this.aim(camera, fine, w, h);
		this.renderer.setClearColor((camera.paper[0] << 16) | (camera.paper[1] << 8) |
			camera.paper[2], 1);
		this.renderer.render(this.sceneOf(atoms), this.camera);
		context.imageSmoothingEnabled = true;
		context.imageSmoothingQuality = 'high';
		context.drawImage(this.renderer.domElement, margin, this.h - h + margin, w - 2 * margin,
			h - 2 * margin, 0, 0, width, height);
	}
}

/* WebGL where it is fast; "#canvas" or "#webgl" at the end of the address chooses. */
function makePainter() {
	if (location.hash !== '#canvas' && typeof THREE !== 'undefined')
		try {
			return new GpuPainter(location.hash === '#webgl');
		} catch (error) {
			console.info(`models are drawn without WebGL: ${error.message}`);
		}
	return new CpuPainter();
}
