package terminal

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// Sizes of the picture in pixels.
const (
	fontSize  = 14
	charWidth = 8.4 // of a monospaced character at that size; spans are stretched to it
	lineSkip  = 20
	margin    = 16
)

// palette are the colors that read well on the picture's dark ground.
func palette(s style) string {
	colors := map[int]string{31: "#ff7b72", 32: "#3fb950", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea"}
	switch c, ok := colors[s.color]; {
	case ok:
		return c
	case s.faint:
		return "#8b949e"
	default:
		return "#e6edf3"
	}
}

// SVG draws a screen below the command that painted it. title is what is read
// out in the picture's place.
func (s Screen) SVG(title, command string) []byte {
	lines := [][]cell{prompt(command)}
	for _, row := range s.rows {
		lines = append(lines, trim(row))
	}
	for len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	wide := 0
	for _, l := range lines {
		wide = max(wide, len(l))
	}
	var b bytes.Buffer
	width, height := margin*2+float64(wide)*charWidth, margin*2+len(lines)*lineSkip
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", escaped(title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n")
	fmt.Fprintf(&b, `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%d">`+"\n", fontSize)
	for i, l := range lines {
		drawLine(&b, l, margin+i*lineSkip+fontSize)
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes()
}

func prompt(command string) []cell {
	l := []cell{{'$', style{faint: true}}, {}}
	for _, r := range command {
		l = append(l, cell{r, style{bold: true}})
	}
	return l
}

// trim leaves out what is empty at a row's end.
func trim(row []cell) []cell {
	for len(row) > 0 && empty(row[len(row)-1]) {
		row = row[:len(row)-1]
	}
	return row
}

// drawLine draws each run of characters that look alike, at its place and in
// its width whatever the font. Renderers make one space of several, so a run
// ends where two follow each other.
func drawLine(b *bytes.Buffer, l []cell, y int) {
	for begin := 0; begin < len(l); {
		if empty(l[begin]) {
			begin++
			continue
		}
		end := begin + 1
		for end < len(l) && l[end].style == l[begin].style && !(empty(l[end]) && (end+1 == len(l) || empty(l[end+1]))) {
			end++
		}
		drawRun(b, trim(l[begin:end]), begin, y)
		begin = end
	}
}

func empty(c cell) bool { return c.char == 0 || c.char == ' ' }

func drawRun(b *bytes.Buffer, run []cell, column, y int) {
	var text strings.Builder
	for _, c := range run {
		text.WriteRune(max(c.char, ' '))
	}
	weight := ""
	if run[0].style.bold {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%d" textLength="%.1f" fill="%s"%s>%s</text>`+"\n",
		margin+float64(column)*charWidth, y, float64(len(run))*charWidth, palette(run[0].style), weight, escaped(text.String()))
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
