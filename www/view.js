/**
 * A tagged note on the page: marks in the text, a legend that counts and filters, a table whose rows jump to the text and
 * back. Note text enters the page as text nodes only.
 */

const GLYPHS = ['▲', '◆', '■', '●', '✚', '★', '▼', '◐']; // one a slot, as in style.css
const BLOCK = 4000; // characters that are laid out together; what is off the screen costs nothing
const ROWS = 500; // rows of the table that are made at a time

/** `LAB_VALUE` as people write it. */
const spoken = (label) => label.charAt(0) + label.slice(1).replaceAll('_', ' ').toLowerCase();
/** What the note says of an entity, in words: `negated`, `possible`; empty for what the patient has now. */
const said = ({ assertion: { polarity, certainty, temporality, experiencer, conditional } = {} }) =>
  [polarity, certainty, temporality, experiencer, conditional && 'conditional'].filter((word) => word && !PLAIN.has(word)).map((word) => WORDS[word] ?? word).join(', ');
const PLAIN = new Set(['affirmed', 'certain', 'current', 'patient']);
const WORDS = { family: 'of a relative', other: 'of somebody else' };
/** The words that say so. */
const cues = ({ assertion }) => (assertion?.cues ?? []).map(({ text }) => `“${text}”`).join(', ');
const percent = (score) => `${Math.floor(score * 100)} %`; // rounded down: 100 % would promise too much

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export class View {
  #element;
  #empty;
  #entities = [];
  #labels = [];
  #marks = [];
  #hidden = new Set();

  constructor(element) {
    this.#element = element;
    const [reader, rows] = [element('reader'), element('rows')];
    this.#empty = reader.firstElementChild;
    reader.addEventListener('keydown', (event) => this.#move(event, reader, 'mark'));
    rows.addEventListener('keydown', (event) => this.#move(event, rows, 'button'));
    reader.addEventListener('click', ({ target }) => target.matches('mark') && this.#toRow(target));
    rows.addEventListener('click', ({ target }) => target.matches('button') && this.#toMark(target));
    element('more').addEventListener('click', () => this.#addRows());
    element('names').addEventListener('change', ({ target }) => reader.classList.toggle('named', target.checked));
    for (const type of ['focusin', 'mouseover']) reader.addEventListener(type, ({ target }) => target.matches('mark') && this.#showCard(target));
    for (const type of ['focusout', 'mouseout', 'scroll']) reader.addEventListener(type, () => this.#hideCard());
  }

  show(note, { entities, model }) {
    this.#entities = entities;
    this.#labels = model.labels;
    this.#element('reader').replaceChildren(...this.#text(note));
    this.#element('reader').scrollTop = 0;
    this.#element('rows').replaceChildren();
    this.#addRows();
    this.#legend();
  }

  clear() {
    this.#entities = [];
    this.#marks = [];
    this.#element('reader').replaceChildren(this.#empty);
    this.#element('rows').replaceChildren();
    this.#element('legend').replaceChildren();
    this.#element('total').textContent = '';
    this.#element('more').hidden = true;
    this.#hideCard();
  }

  /** The note in blocks that end at a line end, so that their text joined is the note, character for character. */
  #text(note) {
    const blocks = [make('div')];
    let [at, filled] = [0, 0];
    const write = (end) => {
      while (at < end) {
        const rest = note.slice(at, end);
        const line = rest.indexOf('\n', BLOCK - filled) + 1;
        const part = line ? rest.slice(0, line) : rest;
        blocks.at(-1).append(part);
        at += part.length;
        filled += part.length;
        if (!line) continue;
        filled = 0;
        blocks.push(make('div'));
      }
    };
    this.#marks = this.#entities.map((entity, i) => {
      const { start, end, text, label } = entity;
      write(start);
      const mark = make('mark', { className: `slot-${this.#slot(label)}`, tabIndex: i === 0 ? 0 : -1 }, text);
      const words = said(entity);
      Object.assign(mark.dataset, { i, label: [words, spoken(label)].filter(Boolean).join(' ') });
      mark.classList.toggle('negated', entity.assertion?.polarity === 'negated');
      mark.classList.toggle('unsure', words !== '');
      blocks.at(-1).append(mark);
      filled += end - at;
      at = end;
      return mark;
    });
    write(note.length);
    return blocks;
  }

  #slot(label) {
    return this.#labels.indexOf(label) % GLYPHS.length;
  }

  #glyph(label) {
    return make('span', { className: 'glyph', ariaHidden: 'true' }, GLYPHS[this.#slot(label)]);
  }

  #legend() {
    const counts = new Map(this.#labels.map((label) => [label, 0]));
    for (const { label } of this.#entities) counts.set(label, counts.get(label) + 1);
    const chips = [...counts].map(([label, count]) => {
      const chip = make('button', { type: 'button', className: `chip slot-${this.#slot(label)}` }, this.#glyph(label), spoken(label), make('b', {}, `${count}`));
      const filter = () => {
        chip.ariaPressed = String(!this.#hidden.has(label));
        this.#element('main').classList.toggle(`hide-${this.#slot(label)}`, this.#hidden.has(label));
      };
      chip.addEventListener('click', () => {
        this.#hidden.delete(label) || this.#hidden.add(label);
        filter();
      });
      filter();
      return chip;
    });
    this.#element('legend').replaceChildren(...chips);
    this.#element('total').textContent = `(${this.#entities.length.toLocaleString('en')})`;
  }

  #addRows() {
    const rows = this.#element('rows');
    const from = rows.children.length;
    rows.append(...this.#entities.slice(from, from + ROWS).map((entity, i) => this.#row(entity, from + i)));
    const left = this.#entities.length - rows.children.length;
    this.#element('more').hidden = left === 0;
    this.#element('more').textContent = `Show ${Math.min(left, ROWS)} more of ${left.toLocaleString('en')}`;
  }

  #row(entity, i) {
    const { text, label, score } = entity;
    const button = make('button', { type: 'button', tabIndex: i === 0 ? 0 : -1 }, text);
    button.dataset.i = i;
    const cells = [make('td', {}, button), make('td', {}, this.#glyph(label), spoken(label), make('small', {}, said(entity))), make('td', { className: 'number' }, percent(score))];
    return make('tr', { className: `slot-${this.#slot(label)}` }, ...cells);
  }

  #toMark(button) {
    const mark = this.#marks[button.dataset.i];
    mark.scrollIntoView({ block: 'center' });
    this.#focus(mark, this.#element('reader'), 'mark');
  }

  #toRow(mark) {
    const rows = this.#element('rows');
    while (rows.children.length <= mark.dataset.i) this.#addRows();
    const button = rows.children[mark.dataset.i].querySelector('button');
    button.scrollIntoView({ block: 'nearest' });
    this.#focus(button, rows, 'button');
  }

  /** One stop of the Tab key a list: the entity that was visited last. */
  #focus(node, container, selector) {
    for (const other of container.querySelectorAll(`${selector}[tabindex="0"]`)) other.tabIndex = -1;
    node.tabIndex = 0;
    node.focus({ preventScroll: true });
  }

  #move(event, container, selector) {
    if (!event.target.matches(selector)) return;
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (event.key === 'Escape') this.#hideCard();
    if (event.key in steps || (event.key === 'Enter' && selector === 'mark')) event.preventDefault();
    if (event.key === 'Enter' && selector === 'mark') this.#toRow(event.target);
    if (!(event.key in steps)) return;
    const shown = [...container.querySelectorAll(selector)].filter((node) => !this.#hidden.has(this.#entities[node.dataset.i].label));
    const place = shown.indexOf(event.target) + steps[event.key];
    const next = shown[Math.min(shown.length - 1, Math.max(0, place))];
    next.scrollIntoView({ block: 'nearest' });
    this.#focus(next, container, selector);
  }

  #showCard(mark) {
    const entity = this.#entities[mark.dataset.i];
    const { label, score, start, end } = entity;
    const words = said(entity) && make('small', {}, `${said(entity)}: ${cues(entity)}`);
    const card = this.#element('card');
    card.replaceChildren(make('strong', {}, `${GLYPHS[this.#slot(label)]} ${spoken(label)}`), ` ${percent(score)}`, words, make('small', {}, `characters ${start} to ${end}`));
    card.hidden = false;
    const place = mark.getClientRects()[0] ?? mark.getBoundingClientRect();
    card.style.left = `${Math.max(8, Math.min(place.left, innerWidth - card.offsetWidth - 8))}px`;
    card.style.top = `${place.top > card.offsetHeight + 12 ? place.top - card.offsetHeight - 6 : place.bottom + 6}px`;
    mark.setAttribute('aria-describedby', 'card');
  }

  #hideCard() {
    if (this.#element('card').hidden) return;
    this.#element('card').hidden = true;
    for (const mark of this.#element('reader').querySelectorAll('[aria-describedby]')) mark.removeAttribute('aria-describedby');
  }
}
