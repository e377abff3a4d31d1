// A small graph of the last values.

/** Keeps `count` values; `top` is the value at the upper edge. */
export function spark(count: number, top: number): { canvas: HTMLCanvasElement; push: (value: number) => void } {
  const canvas = document.createElement('canvas');
  canvas.width = 560;
  canvas.height = 120;
  canvas.className = 'spark';
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'Seconds of buffer over the last half minute');
  const values: number[] = [];
  const push = (value: number) => {
    values.push(value);
    if (values.length > count) values.shift();
    const pen = canvas.getContext('2d');
    if (!pen) return;
    const { width, height } = canvas;
    const x = (i: number) => (i / (count - 1)) * width;
    const y = (v: number) => height - 4 - (Math.min(v, top) / top) * (height - 10);
    pen.clearRect(0, 0, width, height);
    pen.beginPath();
    values.forEach((v, i) => (i ? pen.lineTo(x(i), y(v)) : pen.moveTo(0, y(v))));
    pen.strokeStyle = '#38c6f4';
    pen.lineWidth = 4;
    pen.lineJoin = 'round';
    pen.stroke();
    pen.lineTo(x(values.length - 1), height);
    pen.lineTo(0, height);
    const shade = pen.createLinearGradient(0, 0, 0, height);
    shade.addColorStop(0, '#38c6f455');
    shade.addColorStop(1, '#38c6f400');
    pen.fillStyle = shade;
    pen.fill();
  };
  return { canvas, push };
}
