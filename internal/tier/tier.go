// Package tier says which of the three tiers a test belongs to, and what a
// test may do without.
//
// A test that says nothing runs in every tier. [Test] is for stories and real
// processes, which make check leaves out; [Soak] for what takes long, which
// make soak alone runs. [Need] skips where a program is missing, unless the
// tier was told that it may not be: ci/test names what may not.
//
// It knows how the tiers are told apart: check is go test -short, soak has
// WPBAKE_SOAK set, test has neither. It refuses to know any test, and is for
// tests alone.
package tier

import (
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// Test leaves a test out of make check.
func Test(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("make test runs it: it takes too long for make check")
	}
}

// Soak leaves a test out of every tier but make soak.
func Soak(t testing.TB) {
	t.Helper()
	if !Soaking() {
		t.Skip("make soak runs it: it takes long")
	}
}

// Soaking reports whether this is make soak. A test that has many cases of one
// kind takes all of them then, and some otherwise.
func Soaking() bool { return os.Getenv("WPBAKE_SOAK") != "" && !testing.Short() }

// Need skips a test where something that it needs is missing, and fails it
// where WPBAKE_TEST_REQUIRE, a list with commas, names that thing.
func Need(t testing.TB, what string, have bool) {
	t.Helper()
	switch {
	case have:
	case slices.Contains(strings.Split(os.Getenv("WPBAKE_TEST_REQUIRE"), ","), what):
		t.Fatalf("no %s, which WPBAKE_TEST_REQUIRE asks for", what)
	default:
		t.Skipf("no %s here", what)
	}
}

// Program is the path of a program that a test needs.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	Need(t, name, err == nil)
	return path
}

// Root is for tests of what only root may do.
func Root(t testing.TB) {
	t.Helper()
	Need(t, "root", os.Geteuid() == 0)
}

// BuildFlags are for go build of a program that a test drives: it has the race
// detector where the test has it.
func BuildFlags() []string {
	if Racing() {
		return []string{"-race"}
	}
	return nil
}

// Some is how many cases of one kind a test takes: all of them, or the fewer
// where the race detector makes each ten times as long and has seen the code run
// by then. make soak takes all in either way.
func Some(all, fewer int) int {
	if Racing() && !Soaking() {
		return fewer
	}
	return all
}

// Racing reports whether this test has the race detector, which makes what only
// computes ten times slower.
func Racing() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
