package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Screen is what stands on a terminal at one moment.
type Screen struct{ rows [][]cell }

// cell is one character and how it looks.
type cell struct {
	char  rune // 0 is empty
	style style
}

// style is how a character looks; the zero value is plain.
type style struct {
	color       int // as SGR has it, 30 to 37 and 90 to 97; 0 is the default
	bold, faint bool
}

// Text is the screen without its colors.
func (s Screen) Text() string {
	var b strings.Builder
	for _, row := range s.rows {
		var line strings.Builder
		for _, c := range row {
			if c.char == 0 {
				c.char = ' '
			}
			line.WriteRune(c.char)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// emulator is as much of a terminal as wpbake's live view needs.
type emulator struct {
	columns, rows int
	cells         [][]cell
	row, column   int
	style         style
	pending       []byte // the beginning of a sequence or of a character
}

func newEmulator(columns, rows int) *emulator {
	return &emulator{columns: columns, rows: rows, cells: blank(columns, rows)}
}

func blank(columns, rows int) [][]cell {
	cells := make([][]cell, rows)
	for i := range cells {
		cells[i] = make([]cell, columns)
	}
	return cells
}

func (e *emulator) screen() Screen {
	s := Screen{rows: make([][]cell, e.rows)}
	for i, row := range e.cells {
		s.rows[i] = append([]cell(nil), row...)
	}
	return s
}

// write takes what a program wrote. A control sequence that it does not know is
// an error: the screen would be wrong.
func (e *emulator) write(b []byte) error {
	b = append(e.pending, b...)
	for len(b) > 0 {
		n, err := e.next(b)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	e.pending = append([]byte(nil), b...)
	return nil
}

// next takes one character or sequence and returns its length, 0 for one that
// is not there as a whole.
func (e *emulator) next(b []byte) (int, error) {
	switch b[0] {
	case '\r':
		e.column = 0
		return 1, nil
	case '\n':
		e.down()
		return 1, nil
	case 0x1b:
		return e.sequence(b)
	}
	if !utf8.FullRune(b) {
		return 0, nil
	}
	r, n := utf8.DecodeRune(b)
	if r < 0x20 || r == utf8.RuneError {
		return 0, fmt.Errorf("control character %q is not known", b[:n])
	}
	if e.column < e.columns {
		e.cells[e.row][e.column] = cell{r, e.style}
		e.column++
	}
	return n, nil
}

// down goes to the next row; below the last one the screen scrolls.
func (e *emulator) down() {
	if e.row < e.rows-1 {
		e.row++
		return
	}
	e.cells = append(e.cells[1:], make([]cell, e.columns))
}

// sequence takes ESC [ NUMBERS LETTER.
func (e *emulator) sequence(b []byte) (int, error) {
	end := strings.IndexFunc(string(b), func(r rune) bool { return r >= 'A' && r <= 'z' && r != '[' })
	if end < 0 {
		return 0, nil
	}
	whole := b[:end+1]
	if b[1] != '[' {
		return 0, fmt.Errorf("sequence %q is not known", whole)
	}
	var numbers []int
	for field := range strings.SplitSeq(string(b[2:end]), ";") {
		n, err := strconv.Atoi(field)
		if err != nil && field != "" {
			return 0, fmt.Errorf("sequence %q is not known", whole)
		}
		numbers = append(numbers, n)
	}
	switch kind := b[end]; {
	case kind == 'A':
		e.row = max(0, e.row-max(1, numbers[0]))
	case kind == 'J' && numbers[0] == 0:
		clear(e.cells[e.row][min(e.column, e.columns):])
		for _, row := range e.cells[e.row+1:] {
			clear(row)
		}
	case kind == 'K' && numbers[0] == 0:
		clear(e.cells[e.row][min(e.column, e.columns):])
	case kind == 'm':
		for _, n := range numbers {
			e.look(n)
		}
	default:
		return 0, fmt.Errorf("sequence %q is not known", whole)
	}
	return len(whole), nil
}

// look takes one number of a sequence that sets how characters look.
func (e *emulator) look(n int) {
	switch {
	case n == 0:
		e.style = style{}
	case n == 1:
		e.style.bold = true
	case n == 2:
		e.style.faint = true
	case n >= 30 && n <= 37, n >= 90 && n <= 97:
		e.style.color = n
	}
}
