package node

// configKeys are the keys of every level of Config.
func configKeys() []string {
	return []string{
		"root", "environment", "path", "file", "hooks", "services", "warm", "gate", "url", "host", "headers",
		"status", "body", "timeout", "logs", "command_timeout", "keep",
	}
}

// nearest returns the key that word most likely meant, or "" when none is
// close: more than half of it would have to change.
func nearest(word string) string {
	best, cost := "", len(word)/2+1
	for _, key := range configKeys() {
		if d := distance(word, key); d < cost {
			best, cost = key, d
		}
	}
	return best
}

// distance is Levenshtein's, on bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
