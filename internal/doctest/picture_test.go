package doctest

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// The README's picture of the live view has the columns of today: those that
// the story live_view of cmd/wpbake wants. make live-view draws it anew.
func TestPictureOfTheLiveView(t *testing.T) {
	f, err := os.Open(root + "/docs/live-view.svg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var words []string
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			words = append(words, string(text))
		}
	}
	columns := []string{"node", "zone", "state", "target", "release", "waits for"}
	i := slices.Index(words, columns[0])
	if i < 0 || !slices.Equal(words[i:min(i+len(columns), len(words))], columns) {
		t.Errorf("the picture says %q, and not %q in a row", words, columns)
	}
}
