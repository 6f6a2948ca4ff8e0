/** The page: shows a model, and tells of what the agent presses. */
import { attributeLine, type Line, NOBODY, personLine, type Shown, timelineLine } from "./lines.ts";
import type { TimelineLine } from "./lookup.ts";
import * as texts from "./texts.ts";

export interface Model {
  readonly status: texts.Status;
  /** What is to be known or done, in sentences. */
  readonly message: string;
  /** What an administrator would like to know about it. */
  readonly detail: string;
  readonly canRetry: boolean;
  readonly customerVideo: MediaStream | null;
  readonly ownVideo: MediaStream | null;
  readonly isSeen: boolean;
  readonly isCameraWanted: boolean;
  readonly people: readonly Shown[];
  readonly customer: string;
  /** What of the customer the conference was found by: `aniName` or `ani`. */
  readonly foundBy: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly timeline: readonly TimelineLine[];
  readonly hasTrouble: boolean;
}

/** A page of which nothing is known yet. */
export const BLANK: Model = {
  status: "signing-in",
  message: "",
  detail: "",
  canRetry: false,
  customerVideo: null,
  ownVideo: null,
  isSeen: false,
  isCameraWanted: true,
  people: [],
  customer: "",
  foundBy: "",
  attributes: {},
  timeline: [],
  hasTrouble: false,
};

export class View {
  readonly #state = found("state");
  readonly #message = found("message");
  readonly #detail = found("detail");
  readonly #retry = found("retry");
  readonly #customerVideo = found("customer-video") as HTMLVideoElement;
  readonly #ownVideo = found("own-video") as HTMLVideoElement;
  readonly #own = found("own");
  readonly #seen = found("seen");
  readonly #camera = found("camera-toggle");
  readonly #hold = found("hold");
  readonly #customer = found("customer");
  readonly #participants = found("participants");
  readonly #attributes = found("attributes");
  readonly #timeline = found("timeline");
  readonly #timelineBox = found("timeline-box") as HTMLDetailsElement;
  #hadTrouble = false;

  onRetry(act: () => void): void {
    this.#retry.addEventListener("click", act);
  }

  onCamera(act: () => void): void {
    this.#camera.addEventListener("click", act);
  }

  render(model: Model): void {
    const { status, isSeen } = model;
    const isIn = status === "joined" || status === "held";
    document.body.dataset["state"] = status;
    document.body.dataset["foundBy"] = model.foundBy;
    setText(this.#state, texts.STATUS[status]);
    setText(this.#message, model.message);
    setText(this.#detail, model.detail);
    this.#message.hidden = !model.message;
    this.#detail.hidden = !model.detail;
    this.#retry.hidden = !model.canRetry;
    setStream(this.#customerVideo, model.customerVideo);
    setStream(this.#ownVideo, model.ownVideo);
    this.#customerVideo.hidden = model.customerVideo === null;
    this.#own.hidden = !isIn;
    this.#own.dataset["seen"] = String(isSeen);
    setText(this.#seen, isSeen ? texts.SEEN : texts.UNSEEN);
    this.#camera.hidden = !isIn;
    this.#camera.setAttribute("aria-pressed", String(model.isCameraWanted));
    setText(this.#camera, model.isCameraWanted ? texts.CAMERA_OFF : texts.CAMERA_ON);
    this.#hold.hidden = status !== "held";
    setText(this.#hold, status === "held" ? texts.ON_HOLD : "");
    setText(this.#customer, model.customer);
    fill(this.#participants, model.people.length > 0 ? model.people.map(personLine) : [NOBODY]);
    fill(this.#attributes, Object.entries(model.attributes).map(([name, value]) => attributeLine(name, value)));
    fill(this.#timeline, model.timeline.map(timelineLine));
    if (model.hasTrouble && !this.#hadTrouble) {
      // Only once: the agent may close it.
      this.#timelineBox.open = true;
    }
    this.#hadTrouble = model.hasTrouble;
  }
}

function found(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) {
    throw new Error(`index.html has no element with the id ${id}`);
  }
  return element;
}

function setText(element: HTMLElement, text: string): void {
  // Screen readers repeat what is written again.
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function setStream(video: HTMLVideoElement, stream: MediaStream | null): void {
  if (video.srcObject !== stream) {
    video.srcObject = stream;
  }
}

/** The lines that each list shows. */
const shownLines = new WeakMap<HTMLElement, string>();

function fill(list: HTMLElement, lines: readonly Line[]): void {
  const all = JSON.stringify(lines);
  if (shownLines.get(list) !== all) {
    shownLines.set(list, all);
    list.replaceChildren(...lines.map(item));
  }
}

function item({ before, theirs, after }: Line): HTMLElement {
  const parts = [part("span", before), part("bdi", theirs), part("span", after)];
  const element = document.createElement("li");
  element.append(...parts.filter((one) => one.textContent));
  return element;
}

function part(tag: string, textContent: string): HTMLElement {
  return Object.assign(document.createElement(tag), { textContent });
}
