package ec2

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"

	"github.com/wpbake/wpbake/internal/wire"
)

// keyPair is the public half; the private one is given away once.
type keyPair struct {
	ID, Name, Fingerprint string
	Kind                  types.KeyType
	Public                string // as in authorized_keys
	Created               time.Time
}

// keyPairNamed needs the mutex.
func (s *Service) keyPairNamed(name string) (*keyPair, error) {
	for _, k := range s.state.KeyPairs {
		if k.Name == name && s.visible(k.Created) {
			return k, nil
		}
	}
	return nil, wire.Errorf("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
}

// keyPairByID needs the mutex.
func (s *Service) keyPairByID(id string) (*keyPair, error) {
	for _, k := range s.state.KeyPairs {
		if k.ID == id {
			return k, nil
		}
	}
	return nil, wire.Errorf("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", id)
}

func (s *Service) createKeyPair(_ context.Context, in *ec2.CreateKeyPairInput) (*ec2.CreateKeyPairOutput, error) {
	if in.KeyFormat == types.KeyFormatPpk {
		return nil, wire.Errorf("UnsupportedOperation", "The local cloud makes keys in PEM only.")
	}
	k, private, err := newKeyPair(in.KeyType)
	if err != nil {
		return nil, err
	}
	k.Name = aws.ToString(in.KeyName)
	if err := s.addKeyPair(k, in.TagSpecifications, in.DryRun); err != nil {
		return nil, err
	}
	return &ec2.CreateKeyPairOutput{
		KeyName: &k.Name, KeyPairId: &k.ID, KeyFingerprint: &k.Fingerprint, KeyMaterial: &private, Tags: s.lockedTags(k.ID),
	}, nil
}

func (s *Service) importKeyPair(_ context.Context, in *ec2.ImportKeyPairInput) (*ec2.ImportKeyPairOutput, error) {
	public, _, _, _, err := ssh.ParseAuthorizedKey(in.PublicKeyMaterial)
	if err != nil {
		return nil, wire.Errorf("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	k := keyPair{Name: aws.ToString(in.KeyName), Kind: types.KeyTypeRsa, Public: authorized(public)}
	sum := md5.Sum(public.Marshal())
	k.Fingerprint = colons(sum[:])
	if public.Type() == ssh.KeyAlgoED25519 {
		k.Kind, k.Fingerprint = types.KeyTypeEd25519, fingerprint(public)
	}
	if err := s.addKeyPair(&k, in.TagSpecifications, in.DryRun); err != nil {
		return nil, err
	}
	return &ec2.ImportKeyPairOutput{KeyName: &k.Name, KeyPairId: &k.ID, KeyFingerprint: &k.Fingerprint, Tags: s.lockedTags(k.ID)}, nil
}

// newKeyPair makes an RSA pair of 2048 bits unless told otherwise. Each kind
// has its own form of the private key and of the fingerprint, as on EC2.
func newKeyPair(kind types.KeyType) (*keyPair, string, error) {
	if kind == types.KeyTypeEd25519 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, "", err
		}
		signer, err := ssh.NewSignerFromKey(private)
		if err != nil {
			return nil, "", err
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		if err != nil {
			return nil, "", err
		}
		public := signer.PublicKey()
		return &keyPair{Kind: kind, Public: authorized(public), Fingerprint: fingerprint(public)}, string(pem.EncodeToMemory(block)), nil
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, "", err
	}
	public, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, "", err
	}
	sum := sha1.Sum(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	return &keyPair{Kind: types.KeyTypeRsa, Public: authorized(public), Fingerprint: colons(sum[:])}, string(text), nil
}

func authorized(public ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

func fingerprint(public ssh.PublicKey) string {
	return strings.TrimPrefix(ssh.FingerprintSHA256(public), "SHA256:") + "="
}

func colons(sum []byte) string {
	var text bytes.Buffer
	for n, one := range sum {
		if n > 0 {
			text.WriteByte(':')
		}
		text.WriteString(hex.EncodeToString([]byte{one}))
	}
	return text.String()
}

func (s *Service) addKeyPair(k *keyPair, specifications []types.TagSpecification, dryRun *bool) error {
	if k.Name == "" || len(k.Name) > 255 {
		return wire.Errorf("InvalidParameterValue", "Key pair name '%s' must have 1 to 255 characters", k.Name)
	}
	tags, err := specifiedTags(specifications, types.ResourceTypeKeyPair)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.state.KeyPairs, func(other *keyPair) bool { return other.Name == k.Name }) {
		return wire.Errorf("InvalidKeyPair.Duplicate", "The keypair already exists")
	}
	if err := refuseDryRun(dryRun); err != nil {
		return err
	}
	k.ID, k.Created = newID("key"), time.Now().UTC()
	s.state.KeyPairs = append(s.state.KeyPairs, k)
	s.addTags(k.ID, tags)
	s.options.Changed()
	return nil
}

func (s *Service) lockedTags(id string) []types.Tag {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tagsOf(id)
}

// deleteKeyPair succeeds when there is none.
func (s *Service) deleteKeyPair(_ context.Context, in *ec2.DeleteKeyPairInput) (*ec2.DeleteKeyPairOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &ec2.DeleteKeyPairOutput{Return: aws.Bool(true)}
	s.state.KeyPairs = slices.DeleteFunc(s.state.KeyPairs, func(k *keyPair) bool {
		found := in.KeyName != nil && k.Name == *in.KeyName || in.KeyPairId != nil && k.ID == *in.KeyPairId
		if found {
			out.KeyPairId = &k.ID
			delete(s.state.Tags, k.ID)
		}
		return found
	})
	s.options.Changed()
	return out, nil
}

func (s *Service) describeKeyPairs(_ context.Context, in *ec2.DescribeKeyPairsInput) (*ec2.DescribeKeyPairsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range in.KeyNames {
		if _, err := s.keyPairNamed(name); err != nil {
			return nil, err
		}
	}
	for _, id := range in.KeyPairIds {
		if _, err := s.keyPairByID(id); err != nil {
			return nil, err
		}
	}
	var all []types.KeyPairInfo
	for _, k := range s.state.KeyPairs {
		if len(in.KeyNames)+len(in.KeyPairIds) > 0 && !slices.Contains(in.KeyNames, k.Name) && !slices.Contains(in.KeyPairIds, k.ID) || !s.visible(k.Created) {
			continue
		}
		one := types.KeyPairInfo{
			KeyName: aws.String(k.Name), KeyPairId: aws.String(k.ID), KeyFingerprint: aws.String(k.Fingerprint), KeyType: k.Kind,
			CreateTime: aws.Time(k.Created), Tags: s.tagsOf(k.ID),
		}
		if aws.ToBool(in.IncludePublicKey) {
			one.PublicKey = aws.String(k.Public + " " + k.Name + "\n")
		}
		all = append(all, one)
	}
	kept, err := selected(all, in.Filters, func(k types.KeyPairInfo) attributes {
		return attributes{"key-name": {*k.KeyName}, "key-pair-id": {*k.KeyPairId}, "fingerprint": {*k.KeyFingerprint}}.withTags(s.state.Tags[*k.KeyPairId])
	})
	return &ec2.DescribeKeyPairsOutput{KeyPairs: kept}, err
}
