package php

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// CompareNumbers compares dotted numbers, as far as both are numbers.
func CompareNumbers(a, b string) int {
	for a != "" || b != "" {
		var x, y int
		x, a = LeadingNumber(a)
		y, b = LeadingNumber(b)
		if x != y {
			return x - y
		}
	}
	return 0
}

// LeadingNumber takes the first number off a version. What follows a dash is no
// part of it.
func LeadingNumber(s string) (int, string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	x, _ := strconv.Atoi(s[:min(n, 9)])
	rest, ok := strings.CutPrefix(s[n:], ".")
	if !ok {
		rest = ""
	}
	return x, rest
}

// Older reports whether version a comes before b, as PHP's version_compare
// orders the numbers and suffixes that WordPress and its plugins use. An empty
// version is not known: it is neither older nor newer.
func Older(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	x, y := versionParts(a), versionParts(b)
	for i := range max(len(x), len(y)) {
		if c := comparePart(partAt(x, i), partAt(y, i)); c != 0 {
			return c < 0
		}
	}
	return false
}

func partAt(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return "" // like 0, and after any suffix but "pl"
}

// versionParts splits at dots, dashes, plus signs and wherever digits and
// letters meet.
func versionParts(v string) []string {
	var parts []string
	var part strings.Builder
	flush := func() {
		if part.Len() > 0 {
			parts = append(parts, part.String())
			part.Reset()
		}
	}
	last := byte(0)
	for i := range len(v) {
		c := v[i]
		switch {
		case strings.IndexByte(".-_+", c) >= 0:
			flush()
		case part.Len() > 0 && digit(c) != digit(last):
			flush()
			part.WriteByte(c)
		default:
			part.WriteByte(c)
		}
		last = c
	}
	flush()
	return parts
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func comparePart(a, b string) int {
	if rankA, rankB := rank(a), rank(b); rankA != numberRank || rankB != numberRank {
		return cmp.Compare(rankA, rankB)
	}
	x, _ := strconv.Atoi(cmp.Or(a, "0"))
	y, _ := strconv.Atoi(cmp.Or(b, "0"))
	return cmp.Compare(x, y)
}

// Suffixes in the order of version_compare; a number, or none, comes after
// release candidates.
const numberRank = 5

func rank(part string) int {
	if part == "" || digit(part[0]) {
		return numberRank
	}
	for i, words := range [][]string{{"dev"}, {"alpha", "a"}, {"beta", "b"}, {"rc", "c"}} {
		if slices.Contains(words, strings.ToLower(part)) {
			return i + 1
		}
	}
	if p := strings.ToLower(part); p == "pl" || p == "p" {
		return numberRank + 1
	}
	return 0
}
