package elb

import (
	"strconv"
	"strings"
)

// matcher is which status codes mean success, such as "200" or "200-299,301".
type matcher []codeRange

type codeRange struct{ From, To int }

func (m matcher) match(code int) bool {
	for _, r := range m {
		if code >= r.From && code <= r.To {
			return true
		}
	}
	return false
}

func parseMatcher(text string) (matcher, error) {
	var m matcher
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err := strconv.Atoi(low)
		if err != nil {
			return nil, badMatcher(text)
		}
		to, err := strconv.Atoi(high)
		if err != nil || from < 200 || to > 499 || from > to {
			return nil, badMatcher(text)
		}
		m = append(m, codeRange{from, to})
	}
	return m, nil
}

func badMatcher(text string) error {
	return invalid("Health check matcher HTTP code '%s' must be within '200-499', inclusive", text)
}
