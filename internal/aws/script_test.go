package aws_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// script answers calls of the query protocols with documents as AWS sends
// them. Each action's answers are given in turn, the last one ever after.
type script struct {
	t       *testing.T
	answers map[string][]string

	mu    sync.Mutex
	calls []url.Values
}

func newScript(t *testing.T, answers map[string][]string) *script {
	return &script{t: t, answers: answers}
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	action := r.PostForm.Get("Action")
	s.calls = append(s.calls, r.PostForm)
	left := s.answers[action]
	if len(left) == 0 {
		s.t.Errorf("unexpected call of %s", action)
		w.WriteHeader(http.StatusNotImplemented)
		return
	}
	if len(left) > 1 {
		s.answers[action] = left[1:]
	}
	status, body := http.StatusOK, left[0]
	if rest, ok := strings.CutPrefix(body, "!"); ok { // !400 <ErrorResponse>…
		if _, err := fmt.Sscanf(rest, "%d", &status); err != nil {
			s.t.Error(err)
		}
		_, body, _ = strings.Cut(rest, " ")
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// count of the calls of action.
func (s *script) count(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		if c.Get("Action") == action {
			n++
		}
	}
	return n
}

// sent is the last call of action, a parameter a line, without Version.
func (s *script) sent(action string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range slices.Backward(s.calls) {
		if c.Get("Action") != action {
			continue
		}
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(c)) {
			if k != "Action" && k != "Version" {
				b.WriteString(k + "=" + c.Get(k) + "\n")
			}
		}
		return b.String()
	}
	return ""
}

func (s *script) wantSent(action, want string) {
	s.t.Helper()
	if diff := cmp.Diff(strings.TrimLeft(strings.ReplaceAll(want, "\t", ""), "\n"), s.sent(action)); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", action, diff)
	}
}

// result is a whole answer of the query protocol.
func result(action, inner string) string {
	return fmt.Sprintf(`<%sResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><%sResult>%s</%sResult>`+
		`<ResponseMetadata><RequestId>7c6e177f</RequestId></ResponseMetadata></%sResponse>`, action, action, inner, action, action)
}

// refusal is an error of the query protocol; ec2Refusal one of EC2's.
func refusal(status int, code, message string) string {
	return fmt.Sprintf("!%d <ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"+
		"<RequestId>1a2b3c</RequestId></ErrorResponse>", status, code, message)
}

func ec2Refusal(status int, code, message string) string {
	return fmt.Sprintf("!%d <Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors>"+
		"<RequestID>1a2b3c</RequestID></Response>", status, code, message)
}

// virtual runs f where waiting takes no time.
func virtual(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
