// Markup as template literals. What is put into them becomes text and attributes, never markup.
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
