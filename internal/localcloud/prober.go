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
		next = webProber{&http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // a kept connection hides a target that takes no more
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
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

// webProber asks targets by HTTP.
type webProber struct{ client *http.Client }

// Probe implements elb.Prober.
func (p webProber) Probe(ctx context.Context, target, host string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, err
	}
	request.Host = host
	request.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	response, err := p.client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
