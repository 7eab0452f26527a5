package cli

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// narrowest is how many columns the last one keeps on a terminal. Where the
// others leave it less, all of them are made narrower.
const narrowest = 20

// labelWidth is that of a list's first column, so that lists of one kind look
// alike whatever they hold.
const labelWidth = 8

// Table writes rows in aligned columns; the first row is the heading. On a
// terminal a row that is too wide is wrapped in its last column; elsewhere a row
// is a line.
func (o *Output) Table(rows [][]string) {
	dim := lipgloss.NewRenderer(o.Stdout).NewStyle().Faint(true)
	cells := make([][]cell, len(rows))
	for i, row := range rows {
		for _, text := range row {
			c := cell{text: OrDash(text)}
			if i == 0 {
				c.style = dim
			}
			cells[i] = append(cells[i], c)
		}
	}
	o.grid(cells)
}

// List is labels and what they stand for. An empty label goes on with the one
// above.
type List [][2]string

// Add adds a label and what it stands for.
func (l *List) Add(label, format string, args ...any) {
	*l = append(*l, [2]string{label, fmt.Sprintf(format, args...)})
}

// List writes labels and what they stand for in two columns.
func (o *Output) List(rows List) {
	cells := make([][]cell, len(rows))
	for i, row := range rows {
		cells[i] = []cell{{text: fmt.Sprintf("%-*s", labelWidth, row[0])}, {text: row[1]}}
	}
	o.grid(cells)
}

func (o *Output) grid(rows [][]cell) {
	if o.JSON || len(rows) == 0 {
		return
	}
	width := 0
	if IsTerminal(o.Stdout) {
		width, _ = screen(o.Stdout)
	}
	for _, line := range grid(rows, width) {
		fmt.Fprintln(o.Stdout, line)
	}
}

// cell is a text and how it looks.
type cell struct {
	text  string
	style lipgloss.Style
}

// grid aligns rows of equal length in columns, two spaces apart. A width of 0
// is none. No cell is empty.
func grid(rows [][]cell, width int) []string {
	texts := make([][]string, len(rows))
	widest := make([]int, len(rows[0]))
	for i, row := range rows {
		for j, c := range row {
			texts[i] = append(texts[i], Printable(c.text))
			widest[j] = max(widest[j], lipgloss.Width(texts[i][j])+2)
		}
	}
	last, others := len(widest)-1, 0
	for _, w := range widest[:last] {
		others += w
	}
	t := table.New().Rows(texts...).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderColumn(false).
		StyleFunc(func(i, j int) lipgloss.Style {
			style := rows[i][j].style
			switch {
			case j == last:
				return style
			case width-others >= narrowest:
				style = style.Width(widest[j])
			}
			return style.PaddingRight(2)
		})
	if width > 0 && others+widest[last]-2 > width {
		t = t.Width(width)
	}
	lines := strings.Split(t.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}
