// Words of the page in the browser's language, and times as that language writes them, in the time zone of the phone.
import { language, loadWords } from "../client/language.js";

export const t = await loadWords("/pages/track/words");

const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const ofToday = new Intl.DateTimeFormat(language, clock);
const exact = new Intl.DateTimeFormat(language, { ...clock, second: "2-digit" });
const ofDay = new Intl.DateTimeFormat(language, { ...clock, weekday: "short", day: "numeric", month: "short" });

const isToday = (when) => new Date(when).toDateString() === new Date().toDateString();

export const atTime = (when, seconds = false) => (seconds ? exact : isToday(when) ? ofToday : ofDay).format(new Date(when));

export const expectedFor = ({ begins_at: from, ends_at: to }) => `${atTime(from)} – ${ofToday.format(new Date(to))}`;
