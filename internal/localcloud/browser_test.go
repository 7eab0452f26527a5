package localcloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/imds"
	"github.com/wpbake/wpbake/internal/tier"
)

// visit is a request of the browser's that reached a listener, and its answer.
type visit struct {
	method, origin, site string
	status               int
	answer               string
}

// listened serves a handler as the local cloud's listeners are served, and
// notes the visits, by their parameter "attempt". To whoever comes by the name
// evil.test it also has a page, as a server of that name had before it was
// rebound.
type listened struct {
	*httptest.Server
	page string // that the name evil.test has

	mu     sync.Mutex
	visits map[string][]visit
}

// listen makes a listener that is not served yet.
func listen(handler http.Handler) *listened {
	l := &listened{Server: httptest.NewUnstartedServer(nil), visits: map[string][]visit{}}
	l.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, l.page)
			return
		}
		noted := &noted{ResponseWriter: w}
		handler.ServeHTTP(noted, r)
		attempt := r.URL.Query().Get("attempt")
		l.mu.Lock()
		defer l.mu.Unlock()
		l.visits[attempt] = append(l.visits[attempt], visit{r.Method, r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), noted.status, noted.text.String()})
	})
	return l
}

// at is a path of the listener under a name.
func (l *listened) at(name, path string) string {
	return fmt.Sprintf("http://%s:%d%s", name, l.Listener.Addr().(*net.TCPAddr).Port, path)
}

// of are the visits of an attempt.
func (l *listened) of(attempt string) []visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.visits[attempt])
}

// noted is an answer of which a copy is kept.
type noted struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

func (n *noted) Write(p []byte) (int, error) {
	n.text.Write(p)
	return n.ResponseWriter.Write(p)
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// script is what all hostile pages begin with.
const script = `<!doctype html><meta charset=utf-8><body><script>
// form posts a form into a frame of its own.
const form = (url, fields) => new Promise(done => {
	const frame = document.createElement('iframe'), form = document.createElement('form')
	frame.name = 'frame' + document.forms.length
	document.body.append(frame, form)
	frame.onload = done
	form.method = 'post', form.action = url, form.target = frame.name
	for (const [name, value] of new URLSearchParams(fields)) {
		const field = document.createElement('input')
		field.type = 'hidden', field.name = name, field.value = value
		form.append(field)
	}
	form.submit()
})
const image = url => new Promise(done => {
	const image = new Image()
	image.onload = image.onerror = done
	image.src = url
})
const settled = promise => promise.then(() => {}, () => {});
`

// presigned is an address that launches an instance when it is posted to with
// body, signed with the cloud's own key: what a page may have come upon.
func (r *running) presigned(t *testing.T, target, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	query := request.URL.Query()
	query.Set("X-Amz-Expires", "600")
	request.URL.RawQuery = query.Encode()
	key, err := r.config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), key, request, hex.EncodeToString(sum[:]), "ec2", r.Environ()["AWS_REGION"], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// browse opens a page in a browser for which all names but evil.test lead
// nowhere, until the pages say that they are done.
func browse(t *testing.T, page string, done <-chan struct{}) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tier.Program(t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--disable-features=LocalNetworkAccessChecks", "--user-data-dir="+dir,
		"--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", page)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-done:
		cancel()
		<-ended
	case err := <-ended:
		t.Fatalf("the browser ended before its pages: %v\n%s", err, said.Bytes())
	}
}

// TestAWebPageRunsNothing opens hostile pages in Chromium. Everything that they
// try must have reached a listener, or the test would be of the browser's walls.
func TestAWebPageRunsNothing(t *testing.T) {
	tier.Test(t)
	tier.Program(t, "chromium")
	t.Parallel()
	r := run(t, Options{})
	instance, err := launch(t, r, ec2.DefaultImage)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the machine", func() bool { return len(r.runner.machines()) == 1 })
	cloud := listen(r.Cloud)
	service := imds.New(imds.Options{Source: metadata{r.Cloud}})
	meta := listen(service.Handler(*instance.InstanceId))
	done := make(chan struct{})
	finish := sync.OnceFunc(func() { close(done) })
	hostile := listen(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/done" { // browsers ask for other things too
			finish()
		}
	}))

	const fields = "Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&ImageId=" + ec2.DefaultImage
	hostile.page = script + fmt.Sprintf(`
const cloud = %q, meta = %q, fields = %q
const fault = { method: 'POST', mode: 'no-cors', body: '{"kind":"throttle"}' };
(async () => {
	await form(cloud + '/?attempt=form', fields)
	await form(%q, fields)
	await settled(fetch(cloud + '/_local/fault?attempt=fetch', fault))
	await settled(fetch(cloud + '/?attempt=preflight', { method: 'POST', body: fields, headers: { Authorization: 'AWS4-HMAC-SHA256' } }))
	await image(cloud + '/_local/status?attempt=image')
	await settled(fetch(meta + '/latest/api/token?attempt=token', { method: 'PUT', headers: { 'X-Aws-Ec2-Metadata-Token-Ttl-Seconds': '60' } }))
	location = %q
})()
</script>`, cloud.at("127.0.0.1", ""), meta.at("127.0.0.1", ""), fields,
		r.presigned(t, cloud.at("127.0.0.1", "/?attempt=presigned"), fields), cloud.at("evil.test", "/page"))
	cloud.page = script + fmt.Sprintf(`
(async () => {
	await settled(fetch('/_local/status?attempt=rebound'))
	await settled(fetch('/_local/fault?attempt=rebound-fault', { method: 'POST', body: '{"kind":"throttle"}' }))
	await form('/?attempt=rebound-form', %q)
	location = %q
})()
</script>`, fields, meta.at("evil.test", "/page"))
	meta.page = script + fmt.Sprintf(`
(async () => {
	await settled(fetch('/latest/api/token?attempt=rebound-token', { method: 'PUT', headers: { 'X-Aws-Ec2-Metadata-Token-Ttl-Seconds': '60' } }))
	await settled(fetch('/latest/meta-data/iam/security-credentials/?attempt=rebound-role'))
	await settled(fetch(%q, { mode: 'no-cors' }))
})()
</script>`, hostile.at("127.0.0.1", "/done"))
	for _, l := range []*listened{cloud, meta, hostile} {
		l.Start()
		defer l.Close()
	}
	t.Cleanup(func() {
		if t.Failed() {
			for name, l := range map[string]*listened{"cloud": cloud, "metadata": meta, "hostile": hostile} {
				l.mu.Lock()
				t.Logf("%s: %+v", name, l.visits)
				l.mu.Unlock()
			}
		}
	})
	browse(t, hostile.at("evil.test", "/page"), done)

	for l, attempts := range map[*listened][]string{
		cloud: {"form", "presigned", "fetch", "preflight", "image", "rebound", "rebound-fault", "rebound-form"},
		meta:  {"token", "rebound-token", "rebound-role"},
	} {
		for _, attempt := range attempts {
			visits := l.of(attempt)
			if len(visits) == 0 {
				t.Errorf("%s did not reach the listener", attempt)
			}
			for _, v := range visits {
				// Not for want of a signature, which a page might come upon.
				if v.status != http.StatusForbidden || !strings.HasPrefix(v.answer, "the local cloud refuses this request: it") {
					t.Errorf("%s: %+v", attempt, v)
				}
			}
		}
	}
	for _, v := range cloud.of("rebound") {
		if v.origin != "" || v.site == "cross-site" || v.site == "same-site" {
			t.Errorf("rebound: %+v: not Host alone tells", v)
		}
	}
	r.untouched(t, *instance.InstanceId)
}
