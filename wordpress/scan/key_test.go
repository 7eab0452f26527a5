package scan_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/scan"
)

// Keys are put together here, so that nobody's scanner takes this file for a
// leak.
func TestKeys(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 10)
	letters := strings.Repeat("aB3dE5gH7jK9mN1pQ2sT4vW6yZ8", 5)
	for _, tt := range []struct {
		prefix, rest string
		want         scan.Signature
	}{
		{"AKIA", "ABCDEFGHIJKLMNOP", scan.AccessKey},
		{"ASIA", "ABCDEFGHIJKLMNOP", scan.AccessKey},
		{"ABIA", "Z2Y3X4W5V6U7TSRQ", scan.AccessKey},
		{"LTAI", letters[:20], scan.CloudKey},
		{"dop_v1_", hex[:64], scan.CloudKey},
		{"v1.0-", hex[:24] + "-" + hex[:146], scan.CloudKey},
		{"HRKU-AA", letters[:58], scan.CloudKey},
		{"sk_live_", letters[:24], scan.PaymentKey},
		{"sk_live_", letters[:99], scan.PaymentKey},
		{"rk_live_", letters[:24], scan.PaymentKey},
		{"sq0atp-", letters[:22], scan.PaymentKey},
		{"EZAK", letters[:54], scan.PaymentKey},
		{"shpat_", hex[:32], scan.PaymentKey},
		{"SG.", letters[:22] + "." + letters[:43], scan.ServiceToken},
		{"xkeysib-", hex[:64] + "-" + letters[:16], scan.ServiceToken},
		{"ghp_", letters[:36], scan.ServiceToken},
		{"github_pat_", letters[:82], scan.ServiceToken},
		{"glpat-", letters[:20], scan.ServiceToken},
		{"npm_", letters[:36], scan.ServiceToken},
		{"xoxb-", "0123456789-0123456789-" + letters[:24], scan.ServiceToken},
		{"sk-ant-api03-", letters[:93] + "AA", scan.ServiceToken},
		{"sk-proj-", letters[:74] + "T3BlbkFJ" + letters[:74], scan.ServiceToken},
	} {
		key := tt.prefix + tt.rest
		for before, after := range map[string]string{
			"": "", "<?php $k = '": "';", "\n\nKEY=": "\n", "pass ": ".", "https://user:": "@host/", `{"a":"`: `"}`,
		} {
			got := signatures(t, before+key+after)
			if len(got) != 1 || got[0].Signature != tt.want || got[0].Line != 1+strings.Count(before, "\n") {
				t.Errorf("%q shows %v, want %d", before+key+after, got, tt.want)
			}
		}
		for _, other := range []string{
			"x" + key, key[:len(tt.prefix)+3], strings.ToLower(tt.prefix) + "!" + tt.rest, tt.prefix + strings.Repeat("x", len(tt.rest)),
			tt.prefix + strings.Repeat("0", len(tt.rest)), strings.Repeat("x", 400) + key,
		} {
			if got := signatures(t, other); len(got) != 0 {
				t.Errorf("%q shows %v", other, got)
			}
		}
	}
	for _, harmless := range []string{
		"AKIA" + "IOSFODNN7EXAMPLE", "AIza" + letters[:35], "sk_test_" + letters[:24], "sk-" + letters[:40],
		"wp_enqueue_script_module_live_sk_live_demo", "https://www.example.com/a-very-long-name.of-a-file",
	} {
		if got := signatures(t, harmless); len(got) != 0 {
			t.Errorf("%q shows %v", harmless, got)
		}
	}
}

// Wherever a key stands in a text, the look at every 18th byte meets it.
func TestKeysAtEachPlace(t *testing.T) {
	key := "sk_" + "live_aB3dE5gH7j"
	for n := range 60 {
		for _, fill := range []string{" ", "ab ", "$"} {
			text := strings.Repeat(fill, n) + " " + key
			if got := signatures(t, text+" "+strings.Repeat(fill, 60-n)); len(got) != 1 {
				t.Errorf("after %d times %q: %v", n, fill, got)
			}
		}
	}
}

func signatures(t *testing.T, src string) []scan.Match {
	return read(t, fstest.MapFS{"a.txt": {Data: []byte(src)}}, scan.Options{}).Files[0].Matches
}
