// The pages' script: htmx and what Hub adds to it. Each part starts by itself and does nothing where it has no place.
import "htmx.org";
import { startClicks } from "./clicks.js";
import { startClocks } from "./clock.js";
import { startForms } from "./forms.js";
import { startKeep } from "./keep.js";
import { startKeys } from "./keys.js";
import { startLetter } from "./letter.js";
import { startLive } from "./live.js";
import { startQueue } from "./queue.js";
import { startRecordings } from "./recording.js";
import { startScrolling } from "./scrolling.js";
import { startShell } from "./shell.js";
import { startUndo } from "./undo.js";

startShell();
startScrolling();
startClicks();
startClocks();
startForms();
startKeep();
startKeys();
startQueue();
startRecordings();
startLetter();
startUndo();
startLive();
