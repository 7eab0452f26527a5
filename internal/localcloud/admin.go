package localcloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/control"
)

const maxFault = 64 << 10

// serveAdmin answers what is no AWS request: the cloud's status, and faults. It
// is for the account's own key: no node asks for that.
func (c *Cloud) serveAdmin(w http.ResponseWriter, r *http.Request) {
	signature, err := c.verifier.Verify(r)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusForbidden)
	case signature.Service != control.Service || isRole(signature.AccessKey):
		http.Error(w, "not with this key", http.StatusForbidden)
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
