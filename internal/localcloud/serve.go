package localcloud

import (
	"errors"
	"net/http"
	"strings"

	"github.com/wpbake/wpbake/internal/localcloud/ebs"
	"github.com/wpbake/wpbake/internal/localcloud/guard"
	"github.com/wpbake/wpbake/internal/wire"
)

// endpoint is a service as its clients reach it.
type endpoint struct {
	protocol func(*http.Request) wire.Protocol
	actions  wire.Actions
}

// route says which service a credential scope means. All share one address,
// so that nothing else in a request tells them apart.
func (c *Cloud) route() map[string]endpoint {
	query := func(namespace string) func(*http.Request) wire.Protocol {
		return func(*http.Request) wire.Protocol { return wire.Query{Namespace: namespace} }
	}
	endpoints := map[string]endpoint{
		"ec2":                  {func(*http.Request) wire.Protocol { return wire.EC2{} }, c.ec2.Actions()},
		"autoscaling":          {query("http://autoscaling.amazonaws.com/doc/2011-01-01/"), c.autoscaling.Actions()},
		"elasticloadbalancing": {query("http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"), c.elb.Actions()},
		"sts":                  {query("https://sts.amazonaws.com/doc/2011-06-15/"), c.identityActions()},
		"iam":                  {query("https://iam.amazonaws.com/doc/2010-05-08/"), c.iam.Actions()},
		"ssm":                  {func(*http.Request) wire.Protocol { return wire.JSON{Version: "1.1"} }, c.ssm.Actions()},
		"monitoring":           {monitoringProtocol, c.cloudwatch.Actions()},
		"ebs":                  {func(*http.Request) wire.Protocol { return ebs.Protocol{} }, c.ebs.Actions()},
	}
	for name, e := range endpoints {
		e.actions = restrict(name, c.faults.around(name, e.actions))
		endpoints[name] = e
	}
	return endpoints
}

// monitoringProtocol tells CloudWatch's clients apart: the Go SDK's, newer and
// older AWS CLIs.
func monitoringProtocol(r *http.Request) wire.Protocol {
	switch {
	case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		return wire.CBOR{}
	case r.Header.Get("X-Amz-Target") != "":
		return wire.JSON{Version: "1.0"}
	}
	return wire.Query{Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/"}
}

// ServeHTTP answers AWS requests, and the cloud's own below /_local/: those
// that no web page can have made, and that are signed with a key of this cloud.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, names := wire.ScopeService(r), guard.Plain
	if service == "s3" {
		names = guard.Buckets
	}
	if err := guard.Check(r, names); err != nil {
		guard.Refuse(w, err)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/_local/") {
		c.serveAdmin(w, r)
		return
	}
	refuse := c.refusal(service, w, r)
	signature, err := c.verifier.Verify(r)
	if err != nil {
		refuse(err)
		return
	}
	if c.faults.take(faultExpired, signature.AccessKey) {
		refuse(wire.Expired(service))
		return
	}
	w, finish := c.faults.loseable(w)
	defer finish()
	r = r.WithContext(wire.WithSignature(withAnswer(r.Context(), w), signature))
	if service == "s3" {
		if !mayUse(signature, r) {
			refuse(&wire.Error{Code: "AccessDenied", Message: "Access Denied", Status: http.StatusForbidden})
			return
		}
		if c.faults.take(faultLost, s3Operation(r)) {
			lose(r.Context())
		}
		c.s3.ServeHTTP(w, r)
		return
	}
	if e, ok := c.endpoints[service]; ok {
		wire.Serve(w, r, e.protocol(r), e.actions)
		return
	}
	refuse(wire.Errorf("InvalidAction", "The local cloud has no service %q.", service))
}

// refusal writes errors as the service would that a request is for. What names
// none is taken for S3's unless it looks like a call.
func (c *Cloud) refusal(service string, w http.ResponseWriter, r *http.Request) func(error) {
	e, known := c.endpoints[service]
	switch {
	case known:
		return func(err error) { wire.WriteError(w, e.protocol(r), err) }
	case service == "" && r.Header.Get("X-Amz-Target") != "":
		return func(err error) { wire.WriteError(w, wire.JSON{Version: "1.1"}, err) }
	case service == "s3" || service == "" && !isForm(r):
		return func(err error) { wire.WriteS3Error(w, r, asAnonymous(err)) }
	}
	return func(err error) { wire.WriteError(w, wire.Query{}, err) }
}

// asAnonymous is what S3 says to a request without signature.
func asAnonymous(err error) error {
	var known *wire.Error
	if errors.As(err, &known) && known.Code == "MissingAuthenticationToken" {
		return &wire.Error{Code: "AccessDenied", Message: "Access Denied", Status: http.StatusForbidden}
	}
	return err
}

func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// s3Operation names an S3 request as far as faults choose by it.
func s3Operation(r *http.Request) string {
	query := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	kind := "Object"
	switch {
	case key == "":
		kind = "Bucket"
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && query.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodPut && query.Has("partNumber"):
		return "UploadPart"
	}
	method := strings.ToLower(r.Method)
	return strings.ToUpper(method[:1]) + method[1:] + kind
}
