package aws

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/wpbake/wpbake/bake/volume"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// Options say where AWS is. The zero value takes everything from the
// environment and the AWS configuration files, as every AWS program does.
type Options struct {
	Region   string
	Endpoint string // for every service; empty means AWS_ENDPOINT_URL or AWS itself

	// HTTPClient carries the calls, for simulations inside one process. When
	// nil it is the SDK's own client, which heeds AWS_CA_BUNDLE.
	HTTPClient sdk.HTTPClient
}

// Clients are connected to one region of one account.
type Clients struct {
	region string
	asg    *autoscaling.Client
	cw     *cloudwatch.Client
	ebs    *ebs.Client
	ec2    *ec2.Client
	elb    *elbv2.Client
	imds   *imds.Client
	s3     *s3.Client
	ssm    *ssm.Client
	sts    *sts.Client
}

const (
	attempts      = 5               // of each call, with the standard retry mode's backoff
	answerTimeout = time.Minute     // from a request's last byte to the answer's first
	regionTimeout = 3 * time.Second // for asking the metadata service, which only instances have
)

// Load finds region and credentials and connects. On an instance the region
// may be left to the metadata service. Missing credentials are
// rollout.ErrCredentials.
func Load(ctx context.Context, o Options) (*Clients, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = answerTimeout
	})
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(client), config.WithRetryer(retryer),
		config.WithRegion(o.Region), config.WithBaseEndpoint(o.Endpoint),
		// The SDK warns on stderr about connections it gives up, which only
		// its own retries care about.
		config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, &setupError{text: "loading the AWS configuration: " + plainText(err), err: err}
	}
	if o.HTTPClient != nil {
		// Given to LoadDefaultConfig it would make AWS_CA_BUNDLE an error.
		cfg.HTTPClient = o.HTTPClient
	}
	if cfg.Region == "" {
		if cfg.Region = instanceRegion(ctx, cfg); cfg.Region == "" {
			return nil, &setupError{text: "no AWS region configured", hint: "--region REGION, AWS_REGION, or a region in the AWS profile"}
		}
	}
	c := New(cfg)
	if _, err := (credentials{cfg.Credentials}).Retrieve(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// New makes clients of a complete SDK configuration.
func New(cfg sdk.Config) *Clients {
	if cfg.Credentials != nil {
		cfg.Credentials = credentials{cfg.Credentials}
	}
	if cfg.Retryer == nil {
		cfg.Retryer = retryer
	}
	cfg.APIOptions = append(slices.Clone(cfg.APIOptions), explain)
	return &Clients{
		region: cfg.Region,
		asg:    autoscaling.NewFromConfig(cfg),
		cw:     cloudwatch.NewFromConfig(cfg),
		ebs:    ebs.NewFromConfig(cfg),
		ec2:    ec2.NewFromConfig(cfg),
		elb:    elbv2.NewFromConfig(cfg),
		imds:   metadataClient(cfg),
		s3: s3.NewFromConfig(cfg, func(o *s3.Options) {
			// Only AWS's own names resolve bucket.host.
			o.UsePathStyle = o.BaseEndpoint != nil
		}),
		ssm: ssm.NewFromConfig(cfg),
		sts: sts.NewFromConfig(cfg),
	}
}

func retryer() sdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts })
}

func metadataClient(cfg sdk.Config) *imds.Client {
	return imds.NewFromConfig(cfg, func(o *imds.Options) { o.EnableFallback = sdk.FalseTernary })
}

// instanceRegion is empty anywhere but on an instance.
func instanceRegion(ctx context.Context, cfg sdk.Config) string {
	ctx, cancel := context.WithTimeout(ctx, regionTimeout)
	defer cancel()
	out, err := metadataClient(cfg).GetRegion(ctx, nil)
	if err != nil {
		return ""
	}
	return out.Region
}

// Cloud is what a release drives.
func (c *Clients) Cloud() rollout.Cloud {
	return rollout.Cloud{
		Groups:    groups{c.asg},
		Templates: templates{c.ec2},
		Refreshes: refreshes{c.asg},
		Fleet:     fleet{elb: c.elb, cw: c.cw, ec2: c.ec2},
	}
}

// Snapshots finds, copies and shares EBS snapshots.
func (c *Clients) Snapshots() volume.Snapshots { return snapshots{client: c.ec2, region: c.region} }

// SnapshotWriter writes EBS snapshots by blocks.
func (c *Clients) SnapshotWriter() volume.Writer { return snapshotBlocks{direct: c.ebs, client: c.ec2} }

// SnapshotReader reads EBS snapshots by blocks.
func (c *Clients) SnapshotReader() volume.Reader { return snapshotBlocks{direct: c.ebs, client: c.ec2} }

// Metadata asks the metadata service of the instance this program runs on.
func (c *Clients) Metadata() node.Metadata { return metadata{c.imds} }

// Lifecycle speaks to launch hooks.
func (c *Clients) Lifecycle() node.Lifecycle { return lifecycle{c.asg} }

// Parameters reads Parameter Store.
func (c *Clients) Parameters() node.Parameters { return parameters{c.ssm} }

// Region is where the clients are connected to.
func (c *Clients) Region() string { return c.region }

// S3 is the client that an S3 store is made of.
func (c *Clients) S3() *s3.Client { return c.s3 }

// AutoScaling is the plain client, for setting up what a release expects to
// exist already; EC2, ELB, CloudWatch and SSM are the same.
func (c *Clients) AutoScaling() *autoscaling.Client { return c.asg }

// CloudWatch is the plain client.
func (c *Clients) CloudWatch() *cloudwatch.Client { return c.cw }

// EBS is the plain client of the direct APIs.
func (c *Clients) EBS() *ebs.Client { return c.ebs }

// EC2 is the plain client.
func (c *Clients) EC2() *ec2.Client { return c.ec2 }

// ELB is the plain client.
func (c *Clients) ELB() *elbv2.Client { return c.elb }

// SSM is the plain client.
func (c *Clients) SSM() *ssm.Client { return c.ssm }

// Identity is whom AWS takes the caller for.
type Identity struct {
	Account string
	ARN     string
}

// Identity asks who the caller is. No policy can forbid the question, so it
// also proves that the credentials work.
func (c *Clients) Identity(ctx context.Context) (Identity, error) {
	out, err := c.sts.GetCallerIdentity(ctx, nil)
	if err != nil {
		return Identity{}, about("the caller", err)
	}
	return Identity{Account: sdk.ToString(out.Account), ARN: sdk.ToString(out.Arn)}, nil
}

// credentials mark failures of the SDK's provider, which have no type of
// their own.
type credentials struct{ sdk.CredentialsProvider }

// Retrieve returns the credentials to sign with.
func (c credentials) Retrieve(ctx context.Context) (sdk.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err == nil || errors.Is(err, context.Canceled) {
		return found, err
	}
	return found, &setupError{
		text: "finding AWS credentials: " + plainText(err),
		hint: credentialsHint, kind: rollout.ErrCredentials, err: err,
	}
}

// setupError is something wrong on this side of the wire.
type setupError struct {
	text string
	hint string
	kind error
	err  error
}

func (e *setupError) Error() string        { return e.text }
func (e *setupError) Hint() string         { return e.hint }
func (e *setupError) Is(target error) bool { return e.kind != nil && target == e.kind }
func (e *setupError) Unwrap() error        { return e.err }
