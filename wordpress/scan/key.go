package scan

import (
	"bytes"
	"math"
	"regexp"
)

// serviceKey is a kind of key that a service gives out and knows again by its
// looks: no text but one that was given out has them.
type serviceKey struct {
	signature Signature
	prefixes  []string
	pattern   *regexp.Regexp // of the whole key
}

// Patterns and entropies are those of gitleaks v8.30.1, config/gitleaks.toml,
// under the names that stand beside them. Left out are its rules that go by a
// word nearby, what is made to be seen (Google's keys of browsers), and keys of
// test modes, which reach neither money nor data.
var (
	awsKey        = regexp.MustCompile(`^(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}$`) // aws-access-token
	alibabaKey    = regexp.MustCompile(`^LTAI[A-Za-z0-9]{20}$`)                             // alibaba-access-key-id
	digitalOcean  = regexp.MustCompile(`^do[opr]_v1_[a-f0-9]{64}$`)                         // digitalocean-access-token, -pat, -refresh-token
	cloudflareKey = regexp.MustCompile(`^v1\.0-[a-f0-9]{24}-[a-f0-9]{146}$`)                // cloudflare-origin-ca-key
	herokuKey     = regexp.MustCompile(`^HRKU-AA[0-9a-zA-Z_-]{58}$`)                        // heroku-api-key-v2
	stripeKey     = regexp.MustCompile(`^[sr]k_(?:live|prod)_[a-zA-Z0-9]{10,99}$`)          // stripe-access-token
	squareKey     = regexp.MustCompile(`^sq0atp-[\w-]{22,60}$`)                             // square-access-token
	easyPostKey   = regexp.MustCompile(`^EZAK[a-zA-Z0-9]{54}$`)                             // easypost-api-token
	shopifyKey    = regexp.MustCompile(`^shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}$`)              // shopify-*
	sendGridKey   = regexp.MustCompile(`^SG\.[a-zA-Z0-9_\-.]{66}$`)                         // sendgrid-api-token
	brevoKey      = regexp.MustCompile(`^xkeysib-[a-f0-9]{64}-[a-zA-Z0-9]{16}$`)            // sendinblue-api-token
	gitHubToken   = regexp.MustCompile(`^(?:gh[pousr]_[0-9a-zA-Z]{36}|github_pat_\w{82})$`) // github-*
	gitLabToken   = regexp.MustCompile(`^glpat-[\w-]{20}$`)                                 // gitlab-pat
	npmToken      = regexp.MustCompile(`^npm_[a-zA-Z0-9]{36}$`)                             // npm-access-token
	slackToken    = regexp.MustCompile(`^xoxb-[0-9]{10,13}-[0-9]{10,13}[a-zA-Z0-9-]*$`)     // slack-bot-token
	openAIKey     = regexp.MustCompile(`^sk-(?:(?:proj|svcacct|admin)-[\w-]{58,74}|[a-zA-Z0-9]{20})T3BlbkFJ[\w-]{20,74}$`)
	anthropicKey  = regexp.MustCompile(`^sk-ant-(?:api03|admin01)-[\w-]{93}AA$`) // anthropic-api-key, -admin-api-key
)

// serviceKeys are tried in this order.
func serviceKeys() []serviceKey {
	return []serviceKey{
		{AccessKey, []string{"AKIA", "ASIA", "ABIA", "ACCA", "A3T"}, awsKey},
		{CloudKey, []string{"LTAI"}, alibabaKey},
		{CloudKey, []string{"dop_v1_", "doo_v1_", "dor_v1_"}, digitalOcean},
		{CloudKey, []string{"v1.0-"}, cloudflareKey},
		{CloudKey, []string{"HRKU-AA"}, herokuKey},
		{PaymentKey, []string{"sk_live_", "rk_live_", "sk_prod_", "rk_prod_"}, stripeKey},
		{PaymentKey, []string{"sq0atp-"}, squareKey},
		{PaymentKey, []string{"EZAK"}, easyPostKey},
		{PaymentKey, []string{"shpat_", "shpca_", "shppa_", "shpss_"}, shopifyKey},
		{ServiceToken, []string{"SG."}, sendGridKey},
		{ServiceToken, []string{"xkeysib-"}, brevoKey},
		{ServiceToken, []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, gitHubToken},
		{ServiceToken, []string{"glpat-"}, gitLabToken},
		{ServiceToken, []string{"npm_"}, npmToken},
		{ServiceToken, []string{"xoxb-"}, slackToken},
		{ServiceToken, []string{"sk-ant-"}, anthropicKey},
		{ServiceToken, []string{"sk-"}, openAIKey},
	}
}

// How a key looks whatever its kind.
const (
	shortestKey = 18
	longestKey  = 300
	mostKeys    = 10 // that are told of a file
	leastBits   = 2  // of entropy a letter: a row of x is a place to put a key
)

// keys looks at each run of letters that is as long as a key. Of a text without
// any it reads every 18th byte.
func (m *matcher) keys() {
	var kinds []serviceKey
	found := 0
	for i := shortestKey - 1; i < len(m.src) && found < mostKeys; {
		if !keyByte(m.src[i]) {
			i += shortestKey
			continue
		}
		begin, end := i, i+1
		for begin > 0 && i-begin < longestKey && keyByte(m.src[begin-1]) {
			begin--
		}
		for end < len(m.src) && keyByte(m.src[end]) {
			end++
		}
		i = end + shortestKey
		if run := m.src[begin:end]; len(run) >= shortestKey && len(run) <= longestKey {
			if kinds == nil {
				kinds = serviceKeys()
			}
			if signature, at, ok := keyIn(kinds, run); ok {
				m.add(signature, begin+at)
				found++
			}
		}
	}
}

// keyByte reports what keys are made of.
func keyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// keyIn finds a key that is the end of a run, or all of it up to a dot that
// ends a sentence.
func keyIn(kinds []serviceKey, run []byte) (Signature, int, bool) {
	run = bytes.TrimRight(run, ".")
	for at := 0; at+shortestKey <= len(run); at++ {
		if at > 0 && run[at-1] != '.' && run[at-1] != '-' {
			continue
		}
		key := run[at:]
		for _, k := range kinds {
			if !hasAnyPrefix(key, k.prefixes) || !k.pattern.Match(key) || bytes.HasSuffix(key, []byte("EXAMPLE")) || entropy(key) < leastBits {
				continue
			}
			return k.signature, at, true
		}
	}
	return 0, 0, false
}

func hasAnyPrefix(b []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if len(b) >= len(p) && string(b[:len(p)]) == p {
			return true
		}
	}
	return false
}

// entropy is Shannon's, in bits a letter.
func entropy(b []byte) float64 {
	var times [256]int
	for _, c := range b {
		times[c]++
	}
	var bits float64
	for _, n := range times {
		if n > 0 {
			p := float64(n) / float64(len(b))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}
