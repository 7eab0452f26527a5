package php

import (
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
