// Package terminal shows a program what a person would sit at, keeps each
// screen that the program paints, and draws one as a picture for documents. It
// knows pseudo-terminals, the few control sequences that wpbake's live view
// uses, and SVG; it refuses to know what stands on a screen.
package terminal
