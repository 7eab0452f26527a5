// Package localcloud is AWS on this machine, behind one http.Handler: S3, EC2,
// the EBS direct APIs, Auto Scaling, load balancing, CloudWatch alarms, the
// parameter store and Run Command, STS, and IAM's roles and instance profiles,
// as far as a release needs them and with the behaviour that a release meets.
// It knows how the services hang together, whose signature counts, how their
// state survives, and how they fail on purpose. Of permissions it knows two
// kinds, the account's own, which has all, and instances' roles; it refuses to know anything of wpbake: any AWS client is as welcome.
package localcloud

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/autoscaling"
	"github.com/wpbake/wpbake/internal/localcloud/blocks"
	"github.com/wpbake/wpbake/internal/localcloud/cloudwatch"
	"github.com/wpbake/wpbake/internal/localcloud/ebs"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/elb"
	"github.com/wpbake/wpbake/internal/localcloud/iam"
	"github.com/wpbake/wpbake/internal/localcloud/imds"
	"github.com/wpbake/wpbake/internal/localcloud/s3"
	"github.com/wpbake/wpbake/internal/localcloud/sshd"
	"github.com/wpbake/wpbake/internal/localcloud/ssm"
	"github.com/wpbake/wpbake/internal/wire"
)

// haltTime is how long instances may take to stop when the cloud does.
const haltTime = 30 * time.Second

// Options configure a Cloud; all have useful zero values.
type Options struct {
	Dir       string        // state directory; "" keeps everything in memory
	Region    string        // "" means eu-central-1
	Account   string        // "" means 123456789012
	AccessKey string        // "" means a random one, kept in Dir
	SecretKey string        // "" means a random one, kept in Dir
	Runner    ec2.Runner    // nil refuses to launch instances
	Prober    elb.Prober    // nil asks targets by HTTP
	Speed     float64       // of AWS's clocks; 0 means 1
	Lag       time.Duration // of EC2: how long new things are invisible
	Endpoint  string        // where instances find this cloud, such as "http://127.0.0.1:4599"
	NoServe   bool          // opens no listener: a simulation
	Log       *slog.Logger  // nil is silent
}

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	if o.Speed < 0 {
		return fmt.Errorf("speed %v is negative", o.Speed)
	}
	if o.Lag < 0 {
		return fmt.Errorf("lag %v is negative", o.Lag)
	}
	return nil
}

// Cloud is an account in one region.
type Cloud struct {
	options  Options
	network  *network
	keys     keys
	verifier *wire.Verifier
	faults   *faults
	changed  chan struct{} // holds one when there is something to save
	saving   sync.Mutex
	sshPort  int // of instances; 0 when nobody can log in

	ec2         *ec2.Service
	ebs         *ebs.Service
	autoscaling *autoscaling.Service
	elb         *elb.Service
	cloudwatch  *cloudwatch.Service
	iam         *iam.Service
	ssm         *ssm.Service
	s3          *s3.Service
	endpoints   map[string]endpoint // by the service's name in a credential scope
}

// New makes a cloud and takes back the state in its directory. Instances that
// ran are started again by Run, which also gives back what New reserves: the
// loopback addresses of instances.
func New(o Options) (*Cloud, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("starting the local cloud: %w", err)
	}
	saved, err := readState(o.Dir)
	if err != nil {
		return nil, err
	}
	o = saved.complete(o)
	c := &Cloud{options: o, keys: keys{o.AccessKey, o.SecretKey}, faults: newFaults(), changed: make(chan struct{}, 1)}
	if err := checkDir(o.Dir); err != nil {
		return nil, err
	}
	c.verifier = &wire.Verifier{Key: c.keys.find, Now: time.Now}
	if c.network, err = reserveNetwork(saved.Network, o); err != nil {
		return nil, err
	}
	if err := c.build(); err != nil {
		c.network.Close()
		return nil, err
	}
	if err := c.restore(saved); err != nil {
		c.network.Close()
		return nil, err
	}
	if saved.SecretKey != o.SecretKey {
		c.touch() // whoever starts this cloud again has to find the key
	}
	return c, nil
}

// runOn finds where commands for an instance are run.
func (c *Cloud) runOn(instance string) (func(context.Context, string, io.Writer, io.Writer) (int, error), error) {
	e, err := c.ec2.Executor(instance)
	if err != nil {
		return nil, err
	}
	return e.Exec, nil
}

// build makes the services, each with the neighbours it needs.
func (c *Cloud) build() error {
	o, touch := c.options, c.touch
	disks, err := blocks.New(inDir(o.Dir, "snapshots"))
	if err != nil {
		return err
	}
	c.ssm = ssm.New(ssm.Options{Region: o.Region, Account: o.Account, Changed: touch, Run: c.runOn})
	c.iam = iam.New(iam.Options{Account: o.Account, Changed: touch})
	c.cloudwatch = cloudwatch.New(cloudwatch.Options{Region: o.Region, Account: o.Account, Changed: touch})
	machines := ec2.Options{
		Region: o.Region, Account: o.Account, Network: c.network.number, Runner: o.Runner, Parameters: c.ssm, Profiles: c.iam,
		Speed: o.Speed, Lag: o.Lag, Environ: c.instanceEnviron, Changed: touch, Log: o.Log,
		Dir: inDir(o.Dir, "instances"), VolumeDir: inDir(o.Dir, "volumes"), Blocks: disks,
	}
	if !o.NoServe && o.Runner != nil {
		c.sshPort = c.network.sshPort()
		machines.Logins = sshd.New(sshd.Options{Port: c.sshPort, Secret: c.keys.derive("ssh", "host keys"), Log: o.Log})
	}
	if !o.NoServe {
		machines.Metadata = imds.New(imds.Options{Region: o.Region, Account: o.Account, Source: metadata{c}, Log: o.Log})
	}
	c.ec2 = ec2.New(machines)
	c.ebs = ebs.New(c.ec2, c.keys.derive("ebs", "tokens"))
	c.elb = elb.New(elb.Options{
		Region: o.Region, Account: o.Account, Addresses: c.ec2, Prober: c.prober(),
		Speed: o.Speed, NoServe: o.NoServe, Changed: touch, Log: o.Log,
	})
	c.autoscaling = autoscaling.New(autoscaling.Options{
		Region: o.Region, Account: o.Account, Instances: c.ec2, Targets: c.elb, Alarms: c.cloudwatch,
		SubnetZone: c.ec2.SubnetZone, Speed: o.Speed, Changed: touch, Log: o.Log,
	})
	c.s3, err = s3.New(s3.Options{Region: o.Region, Account: o.Account, Dir: inDir(o.Dir, "s3"), Changed: touch})
	c.endpoints = c.route()
	return err
}

// inDir is a directory of the cloud's own, "" when it keeps everything in
// memory.
func inDir(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// Run is the cloud's own life: groups, refreshes and health checks go on until
// ctx ends. Then the instances are stopped and the state is saved.
func (c *Cloud) Run(ctx context.Context) error {
	defer c.network.Close()
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.ec2.Resume(running)
	var loops sync.WaitGroup
	for name, loop := range map[string]func(context.Context) error{
		"auto scaling": c.autoscaling.Run, "load balancing": c.elb.Run, "saving": c.keepSaving,
	} {
		loops.Go(func() {
			if err := loop(running); err != nil && running.Err() == nil {
				cancel(fmt.Errorf("running %s: %w", name, err))
			}
		})
	}
	<-running.Done()
	loops.Wait()
	halting, done := context.WithTimeout(context.WithoutCancel(ctx), haltTime)
	defer done()
	c.ec2.Halt(halting)
	if err := c.save(); err != nil {
		return err
	}
	if ctx.Err() == nil {
		return context.Cause(running)
	}
	return nil
}

// Environ is what an AWS client needs to find and use this cloud.
func (c *Cloud) Environ() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL":          c.options.Endpoint,
		"AWS_ACCESS_KEY_ID":         c.options.AccessKey,
		"AWS_SECRET_ACCESS_KEY":     c.options.SecretKey,
		"AWS_REGION":                c.options.Region,
		"AWS_DEFAULT_REGION":        c.options.Region,
		"AWS_EC2_METADATA_DISABLED": "true",
	}
}

// instanceEnviron leaves the credentials to the metadata service, as on AWS.
func (c *Cloud) instanceEnviron(address string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + c.options.Endpoint,
		"AWS_REGION=" + c.options.Region,
		"AWS_DEFAULT_REGION=" + c.options.Region,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://" + net.JoinHostPort(address, strconv.Itoa(imds.Port)),
	}
}

// metadata answers what instances ask of the metadata service.
type metadata struct{ cloud *Cloud }

func (m metadata) Instance(id string) (imds.Instance, bool) {
	facts, ok := m.cloud.ec2.Facts(id)
	if !ok {
		return imds.Instance{}, false
	}
	instance := imds.Instance{
		ID: facts.ID, ImageID: facts.ImageID, Type: facts.Type, Zone: facts.Zone, Address: facts.Address,
		Hostname: facts.Hostname, Role: cmp.Or(facts.Profile, iam.DefaultName), UserData: facts.UserData,
		Launched: facts.Launched, Disabled: facts.MetadataDisabled,
	}
	if facts.TagsAllowed {
		instance.Tags = facts.Tags
	}
	return instance, true
}

func (m metadata) LifecycleTarget(id string) (string, bool) {
	return m.cloud.autoscaling.LifecycleTarget(id)
}

func (m metadata) Calls(ctx context.Context, id string, client, server netip.AddrPort) bool {
	return m.cloud.ec2.Calls(ctx, id, client, server)
}

func (m metadata) Credentials(id string) imds.Credentials { return m.cloud.keys.issue(id, time.Now()) }
