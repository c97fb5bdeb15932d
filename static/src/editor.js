export { FileView } from "./editor/view.js";
