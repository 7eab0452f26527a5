package artifacttest

import (
	"errors"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// What one input may cost. A release of the sizes used here takes a few
// milliseconds and megabytes; the limits leave room for a loaded machine.
const (
	maxFuzzTime  = 10 * time.Second
	maxFuzzAlloc = 256 << 20
)

// Bounded runs work and wants it to be done in time, and with little memory.
func Bounded(t *testing.T, work func()) {
	t.Helper()
	before, start := AllocatedBytes(), time.Now()
	work()
	if took := time.Since(start); took > maxFuzzTime {
		t.Errorf("it took %v", took)
	}
	if took := AllocatedBytes() - before; took > maxFuzzAlloc {
		t.Errorf("it took %d bytes of memory", took)
	}
}

// AllocatedBytes is how much was ever allocated.
func AllocatedBytes() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Refusal wants an error to be one that Fetch and Verify document.
func Refusal(t *testing.T, err error) {
	t.Helper()
	var damaged *artifact.Damaged
	var newer *artifact.NewerFormat
	if err != nil && !errors.As(err, &damaged) && !errors.As(err, &newer) {
		t.Errorf("not a refusal: %v", err)
	}
	if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("not one line: %q", err)
	}
}
