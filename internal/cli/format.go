package cli

import (
	"fmt"
	"strings"
	"time"
)

// Brief writes a duration without the units that are zero.
func Brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Elapsed writes a duration for people: tenths below a minute, then seconds.
func Elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return Brief(d.Round(time.Second))
}

// Seconds writes a number of seconds as Elapsed does.
func Seconds(n float64) string { return Elapsed(time.Duration(n * float64(time.Second))) }

// clock writes an elapsed time in a fixed width: minutes and seconds.
func clock(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	return fmt.Sprintf("%3d:%02d", s/60, s%60)
}

// Size writes a size for people.
func Size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n)/unit, "KMGT"
	for f >= unit && len(units) > 1 {
		f, units = f/unit, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", f, units[0])
}

// Count writes a number of things: 1 file, 2 files.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// OrDash stands for an empty cell.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
