/** The live check of "nothing leaves this device": what the browser itself recorded, on the page and in the worker. */
export class Egress {
  #element;
  #entries = [];
  #readyAt = Infinity;
  #bytes = 0;

  constructor(element) {
    this.#element = element;
    const observer = new PerformanceObserver((list) => {
      this.#entries.push(...list.getEntries());
      this.#show();
    });
    observer.observe({ type: 'resource', buffered: true });
    for (const type of ['online', 'offline']) addEventListener(type, () => this.#network());
    this.#network();
  }

  /** From now on every request would be one too many. */
  ready(tagger) {
    this.#readyAt = performance.now();
    this.#bytes = tagger.bytes;
    return this.update(tagger);
  }

  /** Asks the worker for its own count: the page cannot see a worker's requests. */
  async update(tagger) {
    this.worker = await tagger.requests();
    this.#show();
  }

  #show() {
    if (!this.worker) return;
    const late = this.#entries.filter((entry) => entry.startTime > this.#readyAt);
    const since = late.length + this.worker.sinceReady;
    const files = this.#entries.length - late.length + this.worker.total - this.worker.sinceReady;
    const pageBytes = this.#entries.reduce((sum, entry) => sum + (entry.decodedBodySize ?? 0), 0);
    const hosts = new Set([location.host, ...this.#entries.map((entry) => new URL(entry.name).host)]);
    this.#element('egress').textContent = `${since} request${since === 1 ? '' : 's'} since the model was ready`;
    this.#element('privacy').classList.toggle('alarm', since > 0);
    this.#element('since').textContent = `${late.length} by the page, ${this.worker.sinceReady} by the worker`;
    this.#element('fetched').textContent = `${files} files, ${((pageBytes + this.#bytes) / 1e6).toFixed(1)} MB, of which the model ${(this.#bytes / 1e6).toFixed(1)} MB`;
    this.#element('hosts').textContent = hosts.size === 1 ? `${location.host}, where this page comes from; no other` : [...hosts].join(', ');
  }

  #network() {
    this.#element('network').textContent = navigator.onLine ? 'online' : 'offline: still works';
    this.#element('network').classList.toggle('offline', !navigator.onLine);
  }
}
