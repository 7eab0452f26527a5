package wpconfig

// scope follows the blocks of a file: on what condition the code at hand runs,
// and whether a header of the load balancer was seen with an assignment to
// $_SERVER['HTTPS'].
type scope struct {
	blocks  []block
	pending *string // the condition of the statement or block that comes next
	again   bool    // it is another case of the if before it
	depth   int     // of blocks past maxBlocks
	proto   bool
	https   bool
}

type block struct {
	condition string
	colon     bool // if (...): ... endif;
}

const maxBlocks = 1000

// expect says that what comes next depends on a condition; "" is none.
func (s *scope) expect(condition string) {
	if s.pending != nil && *s.pending != "" && condition == "" {
		return
	}
	s.pending = &condition
}

// condition is the outermost condition of the code at hand.
func (s *scope) condition() string {
	for _, b := range s.blocks {
		if b.condition != "" {
			return b.condition
		}
	}
	if s.pending != nil {
		return *s.pending
	}
	return ""
}

// sign follows punctuation between statements.
func (s *scope) sign(c byte) {
	switch c {
	case '{':
		s.open(false)
	case '}':
		s.close()
	case ':':
		if s.pending != nil {
			if s.again {
				s.endColon()
			}
			s.open(true)
		}
	case ';':
		s.pending, s.again = nil, false
	}
}

func (s *scope) open(colon bool) {
	if len(s.blocks) >= maxBlocks {
		s.depth++
		return
	}
	b := block{colon: colon}
	if s.pending != nil {
		b.condition = *s.pending
	}
	s.blocks = append(s.blocks, b)
	s.pending, s.again = nil, false
}

func (s *scope) close() {
	s.pending, s.again = nil, false
	if s.depth > 0 {
		s.depth--
		return
	}
	if n := len(s.blocks); n > 0 {
		s.blocks = s.blocks[:n-1]
	}
}

// endColon ends a block that a colon opened.
func (s *scope) endColon() {
	if n := len(s.blocks); n > 0 && s.blocks[n-1].colon {
		s.blocks = s.blocks[:n-1]
	}
}
