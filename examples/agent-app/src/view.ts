/** The page: shows a model, and tells of what the agent presses. */
import type { TimelineLine } from "./lookup.ts";
import type { Person } from "./room.ts";
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
  readonly people: readonly Pick<Person, "name" | "isMe" | "isTrunk" | "isVideoMuted">[];
  readonly customer: string;
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
    fill(this.#participants, model.people.length > 0 ? model.people.map(describe) : [texts.NOBODY], "li");
    const attributes = Object.entries(model.attributes);
    fill(this.#attributes, attributes.map(([name, value]) => `${name}: ${value}`), "li");
    fill(this.#timeline, model.timeline.map((line) => `${clock(line.at)} ${line.text || line.kind}`), "li");
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

function fill(element: HTMLElement, lines: readonly string[], tag: string): void {
  const shown = Array.from(element.children, (child) => child.textContent);
  if (shown.length !== lines.length || lines.some((line, at) => line !== shown[at])) {
    element.replaceChildren(...lines.map((line) => Object.assign(document.createElement(tag), { textContent: line })));
  }
}

function describe(person: Model["people"][number]): string {
  const notes = [
    person.isMe ? texts.YOU : "",
    person.isTrunk ? texts.CONTACT_CENTRE : "",
    person.isVideoMuted ? texts.VIDEO_OFF : "",
  ].filter(Boolean);
  return notes.length > 0 ? `${person.name} (${notes.join(", ")})` : person.name;
}

function clock(at: string): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString([], { hour12: false });
}
