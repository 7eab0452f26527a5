package localcloud

import (
	"context"
	"net/http"
	"net/url"

	"github.com/wpbake/wpbake/internal/localcloud/elb"
)

// sickProber lets instances look ill to health checks, however well they are.
type sickProber struct {
	next elb.Prober
	sick func(host string) bool
}

func (c *Cloud) prober() elb.Prober {
	next := c.options.Prober
	if next == nil {
		next = elb.HTTPProber()
	}
	return sickProber{next, func(host string) bool {
		return c.faults.armed(faultUnhealthy) && c.faults.strikes(faultUnhealthy, c.ec2.InstanceAt(host))
	}}
}

// Probe implements elb.Prober.
func (p sickProber) Probe(ctx context.Context, target, host string) (int, error) {
	if at, err := url.Parse(target); err == nil && p.sick(at.Hostname()) {
		return http.StatusServiceUnavailable, nil
	}
	return p.next.Probe(ctx, target, host)
}
