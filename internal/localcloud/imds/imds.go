// Package imds is the instance metadata service, version 2: one listener on
// each instance's own address, a session token for every question, and answers
// for the instance's own processes alone. It knows what is asked where; what the
// answers are, and whose a connection is, it asks of others.
package imds

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/guard"
)

// Port is where an instance finds its metadata, on its own address.
const Port = 8169

const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTTL      = 21600
)

// Instance is what an instance may learn of itself.
type Instance struct {
	ID, ImageID, Type, Zone, Address string
	Hostname, Role                   string
	UserData                         []byte
	Tags                             map[string]string // nil when the instance may not read them
	Launched                         time.Time
	Disabled                         bool // its template switches the service off
}

// Credentials are a role's, for a while.
type Credentials struct {
	AccessKey, SecretKey, Token string
	Issued, Expires             time.Time
}

// Source answers what instances ask.
type Source interface {
	Instance(id string) (Instance, bool)
	// LifecycleTarget is the steady state that Auto Scaling moves it to.
	LifecycleTarget(id string) (state string, ok bool)
	Credentials(id string) Credentials
	// Calls reports whether a connection comes from inside the instance.
	Calls(ctx context.Context, id string, client, server netip.AddrPort) bool
}

// Options configure a Service. Source must be set.
type Options struct {
	Region, Account string
	Source          Source
	Log             *slog.Logger
}

// Service is the metadata service of all instances.
type Service struct{ options Options }

// New makes a service that listens nowhere yet.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{options: o}
}

// Serve opens the service of one instance; closing ends it.
func (s *Service) Serve(instanceID, address string) (io.Closer, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(Port)))
	if err != nil {
		return nil, fmt.Errorf("opening metadata service of %q: %w", instanceID, err)
	}
	server := &http.Server{Handler: s.Handler(instanceID), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			s.options.Log.Error("serving metadata", "instance", instanceID, "error", err)
		}
	}()
	return server, nil
}

// Handler answers one instance.
func (s *Service) Handler(instanceID string) http.Handler {
	return &handler{service: s, id: instanceID, tokens: map[string]time.Time{}}
}

// handler is one instance's service. Its tokens are good nowhere else.
type handler struct {
	service *Service
	id      string

	mu     sync.Mutex
	tokens map[string]time.Time // expiry
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	w.Header().Set("Content-Type", "text/plain")
	if err := guard.Check(r, guard.Plain); err != nil {
		guard.Refuse(w, err)
		return
	}
	if !h.calls(r) {
		guard.Refuse(w, errors.New("metadata is for the instance's own processes"))
		return
	}
	instance, ok := h.service.options.Source.Instance(h.id)
	switch {
	case !ok || instance.Disabled:
		refuse(w, http.StatusForbidden)
	case r.URL.Path == "/latest/api/token":
		h.issue(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed)
	case !h.knows(r.Header.Get(tokenHeader)):
		refuse(w, http.StatusUnauthorized)
	default:
		h.answer(w, r.URL.Path, instance)
	}
}

// calls reports whether a request comes from inside the instance.
func (h *handler) calls(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr) // guard has seen it
	server, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && h.service.options.Source.Calls(r.Context(), h.id, client, server)
}

func refuse(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }

// issue gives a token. What came through a proxy gets none, so that an open
// proxy on the instance gives nothing away.
func (h *handler) issue(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	if r.Header.Get("X-Forwarded-For") != "" {
		refuse(w, http.StatusForbidden)
		return
	}
	seconds, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || seconds < 1 || seconds > maxTTL {
		refuse(w, http.StatusBadRequest)
		return
	}
	var b [40]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	token := base64.URLEncoding.EncodeToString(b[:])
	now := time.Now()
	h.mu.Lock()
	maps.DeleteFunc(h.tokens, func(_ string, until time.Time) bool { return !now.Before(until) })
	h.tokens[token] = now.Add(time.Duration(seconds) * time.Second)
	h.mu.Unlock()
	w.Header().Set(ttlHeader, strconv.Itoa(seconds))
	_, _ = io.WriteString(w, token)
}

func (h *handler) knows(token string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Before(h.tokens[token])
}

func (h *handler) answer(w http.ResponseWriter, path string, instance Instance) {
	switch {
	case path == "/latest/user-data":
		if len(instance.UserData) == 0 {
			refuse(w, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(instance.UserData)
	case strings.HasPrefix(path, "/latest/"):
		text, ok := look(h.items(instance), strings.TrimPrefix(path, "/latest/"))
		if !ok {
			refuse(w, http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, text)
	default:
		refuse(w, http.StatusNotFound)
	}
}

// look finds an item, or lists what is directly below a path.
func look(items map[string]string, path string) (string, bool) {
	if text, ok := items[path]; ok {
		return text, true
	}
	below := strings.TrimSuffix(path, "/") + "/"
	names := map[string]bool{}
	for item := range items {
		if rest, ok := strings.CutPrefix(item, below); ok {
			name, _, deeper := strings.Cut(rest, "/")
			if deeper {
				name += "/"
			}
			names[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), "\n"), len(names) > 0
}

// items are all that can be asked, by path below /latest/.
func (h *handler) items(i Instance) map[string]string {
	items := map[string]string{
		"meta-data/ami-id":                      i.ImageID,
		"meta-data/hostname":                    i.Hostname,
		"meta-data/instance-id":                 i.ID,
		"meta-data/instance-life-cycle":         "on-demand",
		"meta-data/instance-type":               i.Type,
		"meta-data/local-hostname":              i.Hostname,
		"meta-data/local-ipv4":                  i.Address,
		"meta-data/placement/availability-zone": i.Zone,
		"meta-data/placement/region":            h.service.options.Region,
		"meta-data/services/domain":             "amazonaws.com",
		"meta-data/services/partition":          "aws",
		"dynamic/instance-identity/document":    h.document(i),
		// a role's name is a list of one, its credentials are below it
		"meta-data/iam/security-credentials/" + i.Role: h.credentials(),
	}
	for key, value := range i.Tags {
		items["meta-data/tags/instance/"+key] = value
	}
	if state, ok := h.service.options.Source.LifecycleTarget(h.id); ok {
		items["meta-data/autoscaling/target-lifecycle-state"] = state
	}
	return items
}

func (h *handler) document(i Instance) string {
	return indented(map[string]any{
		"accountId": h.service.options.Account, "architecture": "x86_64", "availabilityZone": i.Zone,
		"imageId": i.ImageID, "instanceId": i.ID, "instanceType": i.Type, "privateIp": i.Address,
		"region": h.service.options.Region, "pendingTime": i.Launched.Format(time.RFC3339), "version": "2017-09-30",
	})
}

func (h *handler) credentials() string {
	c := h.service.options.Source.Credentials(h.id)
	return indented(map[string]any{
		"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": c.Issued.Format(time.RFC3339),
		"AccessKeyId": c.AccessKey, "SecretAccessKey": c.SecretKey, "Token": c.Token, "Expiration": c.Expires.Format(time.RFC3339),
	})
}

func indented(document map[string]any) string {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil { // it holds text only
		return "{}"
	}
	return string(text)
}
