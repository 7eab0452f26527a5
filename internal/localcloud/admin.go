package localcloud

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

const maxFault = 64 << 10

// serveAdmin answers what is no AWS request: the cloud's status, and faults.
func (c *Cloud) serveAdmin(w http.ResponseWriter, r *http.Request) {
	switch {
	case !isLocal(r):
		http.Error(w, "only from this machine", http.StatusForbidden)
	case r.URL.Path == "/_local/status" && r.Method == http.MethodGet:
		status, err := c.Status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answerJSON(w, status)
	case r.URL.Path == "/_local/fault" && r.Method == http.MethodPost:
		var f fault
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFault))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&f)
		if err == nil {
			err = c.inject(f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, map[string]any{"faults": c.faults.list()})
	default:
		http.NotFound(w, r)
	}
}

// isLocal keeps web pages out as well as other machines: a browser sends an
// origin, and a name that an attacker points at loopback is no address.
func isLocal(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil && !net.ParseIP(host).IsLoopback() {
		return false
	}
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	return r.Header.Get("Origin") == "" && (name == "localhost" || net.ParseIP(name).IsLoopback())
}

func answerJSON(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(document) // the client is gone, nobody is left to tell
}

// inject makes something go wrong.
func (c *Cloud) inject(f fault) error {
	if f.Count < 0 || f.Percent < 0 || f.Percent > 100 || f.Seconds < 0 {
		return fmt.Errorf("count %d, percent %d and seconds %d must not be negative, percent at most 100", f.Count, f.Percent, f.Seconds)
	}
	switch f.Kind {
	case faultExpired, faultLost, faultThrottle, faultUnhealthy:
		c.faults.add(f)
	case "no-capacity":
		c.ec2.SetShortage(f.Target, f.Count)
	case "alarm":
		return c.cloudwatch.Ring(f.Target, true)
	case "kill":
		return c.ec2.Kill(f.Target)
	case "lag":
		c.ec2.SetLag(time.Duration(f.Seconds) * time.Second)
	case "slow-snapshot":
		c.ec2.SetSlow(time.Duration(f.Seconds) * time.Second)
	case "s3-slow-down":
		c.s3.SlowDown(max(f.Count, 1))
	case "clear":
		c.clearFaults()
	default:
		return fmt.Errorf("unknown fault %q: there are unhealthy, no-capacity, alarm, s3-slow-down, slow-snapshot, lag, expired-credentials, lost-answer, throttle, kill, clear", f.Kind)
	}
	return nil
}

// clearFaults ends all faults but alarms, which an operator sets and clears
// with AWS's own call too.
func (c *Cloud) clearFaults() {
	c.faults.clear()
	c.ec2.ClearShortage()
	c.ec2.SetLag(c.options.Lag)
	c.ec2.SetSlow(0)
	c.s3.SlowDown(0)
}
