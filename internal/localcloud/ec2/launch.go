package ec2

import (
	"cmp"
	"context"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	defaultType = "t3.micro"
	maxLaunch   = 100
)

// plan is what is to be launched, template and request put together.
type plan struct {
	data                types.ResponseLaunchTemplateData
	zone, subnet        string
	tags                map[string]string
	userData            []byte
	clientToken         string
	devices             []device
	volumeTags          map[string]string
	reservation, source string // source is the template's id, "" for none
}

// shortage makes launches fail for want of capacity.
type shortage struct {
	target string // an instance type or zone, "" for all
	left   int    // launches still to fail, negative for all
}

// SetShortage makes the next count launches of a type or in a zone fail, all
// of them when count is 0; target "" means every launch.
func (s *Service) SetShortage(target string, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if count == 0 {
		count = -1
	}
	s.shortage = &shortage{target, count}
}

// ClearShortage makes launches succeed again.
func (s *Service) ClearShortage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shortage = nil
}

// Launch starts an instance for Auto Scaling.
func (s *Service) Launch(ctx context.Context, spec LaunchSpec) (string, error) {
	s.mu.Lock()
	id, err := s.launchSpec(ctx, spec)
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	s.options.Changed()
	return id, nil
}

func (s *Service) launchSpec(ctx context.Context, spec LaunchSpec) (string, error) {
	p, err := s.planOf(spec)
	if err != nil {
		return "", err
	}
	if spec.InstanceType != "" {
		p.data.InstanceType = types.InstanceType(spec.InstanceType)
	}
	if spec.ImageID != "" {
		p.data.ImageId = &spec.ImageID
	}
	p.zone, p.subnet = cmp.Or(spec.Zone, p.zone), cmp.Or(spec.SubnetID, p.subnet)
	maps.Copy(p.tags, spec.Tags)
	if err := s.complete(&p); err != nil {
		return "", err
	}
	launched, err := s.launch(ctx, p, 1)
	if err != nil {
		return "", err
	}
	return launched[0].ID, nil
}

// planOf starts a plan with what the spec launches from; it needs the mutex.
func (s *Service) planOf(spec LaunchSpec) (plan, error) {
	if spec.Data == nil {
		return s.planFrom(templateRef{id: spec.TemplateID}, strconv.FormatInt(spec.Version, 10))
	}
	p := plan{data: *copied(spec.Data), tags: map[string]string{}}
	p.readPlace()
	return p, nil
}

// planFrom starts a plan with a template version; it needs the mutex.
func (s *Service) planFrom(ref templateRef, name string) (plan, error) {
	t, err := s.template(ref)
	if err != nil {
		return plan{}, err
	}
	v, err := s.version(t, name)
	if err != nil {
		return plan{}, err
	}
	p := plan{data: *copied(&v.Data), source: t.ID, tags: map[string]string{}, volumeTags: map[string]string{}}
	for _, specification := range v.Data.TagSpecifications {
		into := map[types.ResourceType]map[string]string{types.ResourceTypeInstance: p.tags, types.ResourceTypeVolume: p.volumeTags}[specification.ResourceType]
		for _, tag := range specification.Tags {
			if into != nil {
				into[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
			}
		}
	}
	p.tags["aws:ec2launchtemplate:id"] = t.ID
	p.tags["aws:ec2launchtemplate:version"] = strconv.FormatInt(v.Number, 10)
	p.readPlace()
	return p, nil
}

// readPlace takes zone and subnet from the data.
func (p *plan) readPlace() {
	if place := p.data.Placement; place != nil {
		p.zone = cmp.Or(aws.ToString(place.AvailabilityZone), p.zone)
	}
	for _, network := range p.data.NetworkInterfaces {
		p.subnet = cmp.Or(aws.ToString(network.SubnetId), p.subnet)
	}
}

// complete checks a plan as EC2 checks a launch, and fills what was left open.
// It needs the mutex.
func (s *Service) complete(p *plan) error {
	if s.options.Runner == nil {
		return wire.Errorf("UnsupportedOperation", "This local cloud was started without a runner of instances.")
	}
	if p.data.ImageId == nil {
		return wire.Errorf("MissingParameter", "The request must contain the parameter ImageId")
	}
	image, err := s.resolveImage(*p.data.ImageId)
	if err != nil {
		return err
	}
	from, err := s.image(image)
	if err != nil {
		return err
	}
	if state, _ := s.stateOf(from); state != types.ImageStateAvailable {
		return wire.Errorf("InvalidAMIID.Unavailable", "The image ID '%s' is not available: it is %s", image, state)
	}
	p.data.ImageId = &image
	if err := s.completeParts(p, from); err != nil {
		return err
	}
	p.data.InstanceType = cmp.Or(p.data.InstanceType, defaultType)
	if !regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`).MatchString(string(p.data.InstanceType)) {
		return wire.Errorf("InvalidParameterValue", "Invalid value '%s' for InstanceType.", p.data.InstanceType)
	}
	if p.data.UserData != nil {
		if p.userData, err = decodeUserData(*p.data.UserData); err != nil {
			return err
		}
	}
	if err := checkReadableTags(p); err != nil {
		return err
	}
	if p.zone, p.subnet, err = s.place(p.zone, p.subnet); err != nil {
		return err
	}
	p.reservation = newID("r")
	return s.checkCapacity(p)
}

// completeParts finds what a launch names besides its image; it needs the mutex.
func (s *Service) completeParts(p *plan, from *image) (err error) {
	if name := profileOf(&p.data); name != "" && s.options.Profiles != nil && !s.options.Profiles.HasInstanceProfile(name) {
		return wire.Errorf("InvalidParameterValue", "Value (%s) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", name)
	}
	if name := aws.ToString(p.data.KeyName); name != "" {
		if _, err := s.keyPairNamed(name); err != nil {
			return err
		}
	}
	if _, err := s.groupsOf(&p.data); err != nil {
		return err
	}
	if p.devices, err = devicesOf(&from.Data, p.data.BlockDeviceMappings); err != nil {
		return err
	}
	return s.checkDevices(p.devices)
}

// profileOf is the name of the instance profile, "" for none.
func profileOf(data *types.ResponseLaunchTemplateData) string {
	profile := data.IamInstanceProfile
	if profile == nil {
		return ""
	}
	if arn := aws.ToString(profile.Arn); aws.ToString(profile.Name) == "" && arn != "" {
		return path.Base(arn)
	}
	return aws.ToString(profile.Name)
}

// checkReadableTags refuses keys that the metadata service could not show.
func checkReadableTags(p *plan) error {
	options := p.data.MetadataOptions
	if options == nil || options.InstanceMetadataTags != types.LaunchTemplateInstanceMetadataTagsStateEnabled {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(p.tags)) {
		if !regexp.MustCompile(`^[a-zA-Z0-9+\-=._,@:]+$`).MatchString(key) {
			return wire.Errorf("InvalidParameterValue", "'%s' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), "+
				"and must not be a reserved name ('.', '..', '_index')", key)
		}
	}
	return nil
}

func (s *Service) checkCapacity(p *plan) error {
	short := s.shortage
	if short == nil || short.left == 0 || short.target != "" && short.target != p.zone && short.target != string(p.data.InstanceType) {
		return nil
	}
	if short.left > 0 {
		short.left--
	}
	return &wire.Error{Code: "InsufficientInstanceCapacity", Status: 500, Message: "We currently do not have sufficient " +
		string(p.data.InstanceType) + " capacity in the Availability Zone you requested (" + p.zone + "). Our system will be working on provisioning additional capacity."}
}

// launch makes instances and boots them; it needs the mutex.
func (s *Service) launch(ctx context.Context, p plan, count int) ([]*instance, error) {
	s.prune()
	var launched []*instance
	for index := range count {
		address, err := s.nextAddress()
		if err != nil {
			return nil, err
		}
		i := &instance{
			ID: newID("i"), Reservation: p.reservation, Index: int32(index), ClientToken: p.clientToken, Template: p.source,
			Data: p.data, UserData: p.userData, Zone: p.zone, Subnet: p.subnet, Address: address,
			State: types.InstanceStateNamePending, Launched: time.Now().UTC(),
		}
		s.state.Instances = append(s.state.Instances, i)
		s.byID[i.ID] = i
		s.addTags(i.ID, p.tags)
		if err := s.addDevices(i, p); err != nil {
			return nil, err
		}
		launched = append(launched, i)
		s.boot(ctx, i)
	}
	return launched, nil
}

func (s *Service) runInstances(ctx context.Context, in *ec2.RunInstancesInput) (*ec2.RunInstancesOutput, error) {
	least, most := aws.ToInt32(in.MinCount), aws.ToInt32(in.MaxCount)
	if least < 1 || most < least || most > maxLaunch {
		return nil, wire.Errorf("InvalidParameterValue", "MinCount %d and MaxCount %d must be between 1 and %d.", least, most, maxLaunch)
	}
	s.mu.Lock()
	out, err := s.run(ctx, in)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.options.Changed()
	return out, nil
}

// run needs the mutex.
func (s *Service) run(ctx context.Context, in *ec2.RunInstancesInput) (*ec2.RunInstancesOutput, error) {
	made, err := s.remembered("RunInstances", in.ClientToken, in)
	if err != nil {
		return nil, err
	}
	if made != nil {
		return s.launched(made[0]), nil
	}
	p := plan{tags: map[string]string{}, volumeTags: map[string]string{}}
	if from := in.LaunchTemplate; from != nil {
		ref, err := refOf(from.LaunchTemplateId, from.LaunchTemplateName)
		if err != nil {
			return nil, err
		}
		if p, err = s.planFrom(ref, aws.ToString(from.Version)); err != nil {
			return nil, err
		}
	}
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeInstance)
	if err != nil {
		return nil, err
	}
	maps.Copy(p.tags, tags)
	volumeTags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeVolume)
	if err != nil {
		return nil, err
	}
	maps.Copy(p.volumeTags, volumeTags)
	overwrite(reflect.ValueOf(&p.data).Elem(), reflect.ValueOf(in).Elem())
	p.readPlace()
	p.subnet, p.clientToken = cmp.Or(aws.ToString(in.SubnetId), p.subnet), aws.ToString(in.ClientToken)
	if err := s.complete(&p); err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	if _, err := s.launch(ctx, p, int(*in.MaxCount)); err != nil {
		return nil, err
	}
	s.remember("RunInstances", in.ClientToken, in, p.reservation)
	return s.launched(p.reservation), nil
}

// launched describes a reservation as RunInstances answers.
func (s *Service) launched(reservation string) *ec2.RunInstancesOutput {
	out := &ec2.RunInstancesOutput{OwnerId: aws.String(s.options.Account), ReservationId: aws.String(reservation)}
	for _, i := range s.state.Instances {
		if i.Reservation == reservation {
			out.Instances = append(out.Instances, s.describe(i))
		}
	}
	return out
}
