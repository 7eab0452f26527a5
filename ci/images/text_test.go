package images

import (
	"encoding/base64"
	"testing"
)

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func textOf(t *testing.T, encoded string) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
