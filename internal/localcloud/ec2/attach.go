package ec2

import (
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// Imager is a Runner that can read machines' disks.
type Imager interface {
	// Capture writes what a machine's disk has beyond the host's, in the form
	// that Machine.Root takes. The machine may be running.
	Capture(ctx context.Context, m Machine, into io.Writer) error
}

// Plugger is a Process whose machine takes disks while it runs.
type Plugger interface {
	Plug(Disk) error
	Unplug(Disk) error
}

const defaultRoot = "/dev/xvda"

// device is a volume that a launch makes.
type device struct {
	name string
	ebs  types.LaunchTemplateEbsBlockDevice
	root bool
}

// devicesOf puts together what image and launch say about disks.
func devicesOf(image *types.Image, mappings []types.LaunchTemplateBlockDeviceMapping) ([]device, error) {
	root := cmp.Or(aws.ToString(image.RootDeviceName), defaultRoot)
	devices := []device{{name: root, root: true, ebs: types.LaunchTemplateEbsBlockDevice{DeleteOnTermination: aws.Bool(true)}}}
	at := func(name string) int {
		return slices.IndexFunc(devices, func(d device) bool { return d.name == name })
	}
	for _, mapping := range image.BlockDeviceMappings {
		if mapping.Ebs == nil {
			continue
		}
		n := at(aws.ToString(mapping.DeviceName))
		if n < 0 {
			devices, n = append(devices, device{name: aws.ToString(mapping.DeviceName)}), len(devices)
		}
		overwriteWith(&devices[n].ebs, *mapping.Ebs)
	}
	for _, mapping := range mappings {
		name := aws.ToString(mapping.DeviceName)
		n := at(name)
		switch {
		case name == "":
			return nil, wire.Errorf("InvalidBlockDeviceMapping", "A block device mapping names no device.")
		case mapping.NoDevice != nil && n > 0:
			devices = slices.Delete(devices, n, n+1)
			continue
		case mapping.NoDevice != nil || mapping.Ebs == nil:
			continue
		case n < 0:
			devices, n = append(devices, device{name: name}), len(devices)
		case mapping.Ebs.SnapshotId != nil && devices[n].root && aws.ToString(mapping.Ebs.SnapshotId) != aws.ToString(devices[n].ebs.SnapshotId):
			return nil, wire.Errorf("InvalidBlockDeviceMapping", "snapshotId cannot be modified on root device")
		}
		overwriteWith(&devices[n].ebs, *mapping.Ebs)
	}
	if devices[0].ebs.VolumeSize == nil && (devices[0].ebs.SnapshotId == nil || isSeeded(*devices[0].ebs.SnapshotId)) {
		devices[0].ebs.VolumeSize = aws.Int32(seededSize)
	}
	return devices, nil
}

// checkDevices finds what could not be made; it needs the mutex.
func (s *Service) checkDevices(devices []device) error {
	for _, d := range devices {
		if _, err := s.volumeFrom(d.ebs); err != nil {
			return err
		}
	}
	return nil
}

// addDevices makes an instance's volumes; it needs the mutex.
func (s *Service) addDevices(i *instance, p plan) error {
	for _, d := range p.devices {
		v, err := s.volumeFrom(d.ebs)
		if err != nil {
			return err
		}
		v.Zone, v.Instance, v.Device, v.Root = i.Zone, i.ID, d.name, d.root
		v.Attached, v.Temporary = time.Now().UTC(), aws.ToBool(d.ebs.DeleteOnTermination)
		if _, err := s.addVolume(v, p.volumeTags); err != nil {
			return err
		}
	}
	return nil
}

// disksOf makes the files of an instance's volumes. The mutex must not be held.
func (s *Service) disksOf(instance string) ([]Disk, error) {
	if s.options.VolumeDir == "" {
		return nil, nil
	}
	var wanted []volume
	s.mu.Lock()
	for _, v := range s.volumesOf(instance) {
		if !v.Root {
			wanted = append(wanted, *v)
		}
	}
	s.mu.Unlock()
	var disks []Disk
	for _, v := range wanted {
		d, err := s.disk(v)
		if err != nil {
			return nil, err
		}
		disks = append(disks, d)
	}
	return disks, nil
}

// rootOf is what an image put on an instance's disk, nil for nothing. It needs
// the mutex.
func (s *Service) rootOf(instance string) io.Reader {
	for _, v := range s.volumesOf(instance) {
		if v.Root && s.listed(v.ID) != "" {
			return s.options.Blocks.Open(v.ID)
		}
	}
	return nil
}

// capture reads a machine's disk into a snapshot.
func (s *Service) capture(ctx context.Context, imager Imager, spec Machine, snapshot string) error {
	if err := s.options.Blocks.Create(snapshot, ""); err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(imager.Capture(ctx, spec, w)) }()
	err := s.options.Blocks.Fill(snapshot, r)
	_ = r.CloseWithError(err) // ends a Capture that nobody reads any more
	return err
}

// releaseVolumes leaves of a terminated instance's volumes those that outlive
// it. It needs the mutex.
func (s *Service) releaseVolumes(instance string) {
	for _, v := range s.volumesOf(instance) {
		if v.Temporary {
			s.dropVolume(v)
		} else {
			v.Instance, v.Device, v.Root = "", "", false
		}
	}
}

// keepRoot saves the disk of an instance that is about to go, when its root
// volume is to outlive it.
func (s *Service) keepRoot(ctx context.Context, instance string) {
	s.mu.Lock()
	var root *volume
	for _, v := range s.volumesOf(instance) {
		if v.Root && !v.Temporary {
			root = v
		}
	}
	imager, able := s.options.Runner.(Imager)
	i := s.known(instance)
	if root == nil || i == nil || !able || s.options.Dir == "" {
		s.mu.Unlock()
		return
	}
	spec := s.specOf(i)
	s.mu.Unlock()
	err := s.options.Blocks.Delete(root.ID)
	if err == nil {
		err = s.capture(ctx, imager, spec, root.ID)
	}
	if err != nil {
		s.options.Log.Error("keeping root volume", "instance", instance, "volume", root.ID, "error", err)
	}
}

func (s *Service) attachVolume(_ context.Context, in *ec2.AttachVolumeInput) (*ec2.AttachVolumeOutput, error) {
	s.mu.Lock()
	v, plug, err := s.checkAttach(in)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	v.Instance, v.Device, v.Attached = *in.InstanceId, *in.Device, time.Now().UTC()
	v.Temporary = false
	plugged, out := *v, &ec2.AttachVolumeOutput{}
	overwriteWith(out, describeAttachment(v))
	s.mu.Unlock()
	if plug != nil {
		d, err := s.disk(plugged)
		if err == nil {
			err = plug.Plug(d)
		}
		if err != nil {
			s.mu.Lock()
			v.Instance, v.Device = "", ""
			s.mu.Unlock()
			return nil, err
		}
	}
	s.options.Changed()
	return out, nil
}

// checkAttach needs the mutex. The Plugger is nil when the instance does not
// run or is of a kind that takes no disks: then it has the volume from its
// next start on.
func (s *Service) checkAttach(in *ec2.AttachVolumeInput) (*volume, Plugger, error) {
	v, err := s.volume(aws.ToString(in.VolumeId))
	if err != nil {
		return nil, nil, err
	}
	i, err := s.instance(aws.ToString(in.InstanceId))
	if err != nil {
		return nil, nil, err
	}
	switch {
	case v.Instance != "":
		return nil, nil, wire.Errorf("VolumeInUse", "%s is already attached to an instance", v.ID)
	case i.State != types.InstanceStateNameRunning && i.State != types.InstanceStateNameStopped:
		return nil, nil, wire.Errorf("IncorrectState", "Instance '%s' is not 'running'.", i.ID)
	case v.Zone != i.Zone:
		return nil, nil, wire.Errorf("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.ID, i.ID)
	case aws.ToString(in.Device) == "":
		return nil, nil, wire.Errorf("MissingParameter", "The request must contain the parameter device")
	case slices.ContainsFunc(s.volumesOf(i.ID), func(other *volume) bool { return other.Device == *in.Device }):
		return nil, nil, wire.Errorf("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %s is already in use", *in.Device, *in.Device)
	}
	return v, s.pluggerOf(i.ID), refuseDryRun(in.DryRun)
}

// pluggerOf needs the mutex.
func (s *Service) pluggerOf(instance string) Plugger {
	m := s.machines[instance]
	if m == nil || s.options.VolumeDir == "" {
		return nil
	}
	plug, _ := m.process.(Plugger)
	return plug
}

func (s *Service) detachVolume(_ context.Context, in *ec2.DetachVolumeInput) (*ec2.DetachVolumeOutput, error) {
	s.mu.Lock()
	v, err := s.volume(aws.ToString(in.VolumeId))
	if err == nil {
		err = checkDetach(v, in, s.known(v.Instance))
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	plug, d := s.pluggerOf(v.Instance), Disk{Volume: v.ID, Device: v.Device, Path: s.volumeFile(v.ID)}
	out := &ec2.DetachVolumeOutput{}
	overwriteWith(out, describeAttachment(v))
	out.State = types.VolumeAttachmentStateDetaching
	v.Instance, v.Device, v.Root = "", "", false
	s.mu.Unlock()
	if plug != nil {
		err = plug.Unplug(d)
	}
	s.options.Changed()
	return out, err
}

func checkDetach(v *volume, in *ec2.DetachVolumeInput, i *instance) error {
	switch {
	case v.Instance == "":
		return wire.Errorf("IncorrectState", "Volume '%s' is in the 'available' state.", v.ID)
	case in.InstanceId != nil && *in.InstanceId != v.Instance, in.Device != nil && *in.Device != v.Device:
		return wire.Errorf("InvalidAttachment.NotFound", "Volume '%s' is not attached to instance '%s' as device '%s'.",
			v.ID, aws.ToString(in.InstanceId), aws.ToString(in.Device))
	case v.Root && i != nil && i.State != types.InstanceStateNameStopped:
		return wire.Errorf("OperationNotPermitted", "Unable to detach root volume '%s' from instance '%s'", v.ID, v.Instance)
	case v.Root:
		return wire.Errorf("UnsupportedOperation", "The local cloud keeps the root volume '%s' with its instance.", v.ID)
	}
	return refuseDryRun(in.DryRun)
}
