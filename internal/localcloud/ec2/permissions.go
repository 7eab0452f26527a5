package ec2

import (
	"context"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// permissionChange is how a request shares an image or a snapshot: by two
// lists, or by one and a word.
type permissionChange[P any] struct {
	add, remove []P
	named       []P
	operation   types.OperationType
}

// apply returns who may use it afterwards.
func (c permissionChange[P]) apply(shared []P) []P {
	add, remove := c.add, c.remove
	switch {
	case len(add)+len(remove) > 0: // the words beside say the same once more
	case c.operation == types.OperationTypeRemove:
		remove = c.named
	default:
		add = c.named
	}
	same := func(one P) func(P) bool { return func(other P) bool { return reflect.DeepEqual(one, other) } }
	kept := slices.Clone(shared)
	for _, one := range add {
		if !slices.ContainsFunc(kept, same(one)) {
			kept = append(kept, one)
		}
	}
	for _, one := range remove {
		kept = slices.DeleteFunc(kept, same(one))
	}
	return kept
}

// encryption is what a request says about it.
type encryption struct {
	on  bool
	key string
}

// defaultKey is AWS's own key of the account in a region.
func (s *Service) defaultKey(region string) string {
	return "arn:aws:kms:" + region + ":" + s.options.Account + ":alias/aws/ebs"
}

// encryptionOf completes what a request asks for by what the source has, nil
// for none, and by the account's default. It needs the mutex.
func (s *Service) encryptionOf(asked encryption, source *snapshot, region string) encryption {
	asked.on = asked.on || s.state.Encrypts || source != nil && source.Encrypted
	switch {
	case !asked.on:
		asked.key = ""
	case asked.key == "" && source != nil && source.Encrypted && source.Region == region:
		asked.key = source.Key
	case asked.key == "":
		asked.key = s.defaultKey(region)
	}
	return asked
}

func (s *Service) getEbsEncryptionByDefault(_ context.Context, in *ec2.GetEbsEncryptionByDefaultInput) (*ec2.GetEbsEncryptionByDefaultOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &ec2.GetEbsEncryptionByDefaultOutput{EbsEncryptionByDefault: aws.Bool(s.state.Encrypts)}, refuseDryRun(in.DryRun)
}

func (s *Service) enableEbsEncryptionByDefault(_ context.Context, in *ec2.EnableEbsEncryptionByDefaultInput) (*ec2.EnableEbsEncryptionByDefaultOutput, error) {
	return &ec2.EnableEbsEncryptionByDefaultOutput{EbsEncryptionByDefault: aws.Bool(true)}, s.encryptByDefault(true, in.DryRun)
}

func (s *Service) disableEbsEncryptionByDefault(_ context.Context, in *ec2.DisableEbsEncryptionByDefaultInput) (*ec2.DisableEbsEncryptionByDefaultOutput, error) {
	return &ec2.DisableEbsEncryptionByDefaultOutput{EbsEncryptionByDefault: aws.Bool(false)}, s.encryptByDefault(false, in.DryRun)
}

func (s *Service) encryptByDefault(on bool, dryRun *bool) error {
	if err := refuseDryRun(dryRun); err != nil {
		return err
	}
	s.mu.Lock()
	s.state.Encrypts = on
	s.mu.Unlock()
	s.options.Changed()
	return nil
}

// regionOf is the region that a request was signed for.
func (s *Service) regionOf(ctx context.Context) string {
	if signature := wire.SignatureOf(ctx); signature != nil && signature.Region != "" {
		return signature.Region
	}
	return s.options.Region
}

// overwriteWith copies what two of the SDK's structures have in common.
func overwriteWith(into, from any) {
	overwrite(reflect.ValueOf(into).Elem(), reflect.ValueOf(from))
}
