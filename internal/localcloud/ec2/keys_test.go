package ec2

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"
)

func TestKeyPairs(t *testing.T) {
	cloud(t, nil, func(t *testing.T, _ *Service, _ *fleet, client *ec2.Client) {
		for _, kind := range []types.KeyType{types.KeyTypeRsa, types.KeyTypeEd25519} {
			name := aws.String("packer " + string(kind))
			made, err := client.CreateKeyPair(t.Context(), &ec2.CreateKeyPairInput{KeyName: name, KeyType: kind})
			if err != nil {
				t.Fatal(err)
			}
			private, err := ssh.ParsePrivateKey([]byte(*made.KeyMaterial))
			if err != nil {
				t.Fatal(err)
			}
			found, err := client.DescribeKeyPairs(t.Context(), &ec2.DescribeKeyPairsInput{KeyNames: []string{*name}, IncludePublicKey: aws.Bool(true)})
			if err != nil {
				t.Fatal(err)
			}
			public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(*found.KeyPairs[0].PublicKey))
			if err != nil || comment != *name || string(public.Marshal()) != string(private.PublicKey().Marshal()) {
				t.Errorf("%s: the two halves differ, or %v", kind, err)
			}
			_, err = client.CreateKeyPair(t.Context(), &ec2.CreateKeyPairInput{KeyName: name})
			wantCode(t, err, "InvalidKeyPair.Duplicate")
			for range 2 { // nothing to delete is no error
				if _, err := client.DeleteKeyPair(t.Context(), &ec2.DeleteKeyPairInput{KeyName: name}); err != nil {
					t.Error(err)
				}
			}
			_, err = client.DescribeKeyPairs(t.Context(), &ec2.DescribeKeyPairsInput{KeyNames: []string{*name}})
			wantCode(t, err, "InvalidKeyPair.NotFound")
			imported, err := client.ImportKeyPair(t.Context(), &ec2.ImportKeyPairInput{KeyName: name, PublicKeyMaterial: ssh.MarshalAuthorizedKey(public)})
			if err != nil || *imported.KeyName != *name {
				t.Errorf("importing %s: %v", kind, err)
			}
		}
		_, err := client.ImportKeyPair(t.Context(), &ec2.ImportKeyPairInput{KeyName: aws.String("x"), PublicKeyMaterial: []byte("no key")})
		wantCode(t, err, "InvalidKey.Format")
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.KeyName = aws.String("nobody") })
		wantCode(t, err, "InvalidKeyPair.NotFound")
	})
}

// entries remembers which logins were served.
type entries struct{ open map[string]string }

type closed func()

func (c closed) Close() error { c(); return nil }

func (d *entries) Serve(l Login, _ Commander) (io.Closer, error) {
	d.open[l.InstanceID] = l.Key
	return closed(func() { delete(d.open, l.InstanceID) }), nil
}

func TestLogins(t *testing.T) {
	d := &entries{open: map[string]string{}}
	cloud(t, func(o *Options) { o.Logins, o.Runner = d, commanding{o.Runner.(*fleet)} }, func(t *testing.T, _ *Service, _ *fleet, client *ec2.Client) {
		if _, err := client.CreateKeyPair(t.Context(), &ec2.CreateKeyPairInput{KeyName: aws.String("me"), KeyType: types.KeyTypeEd25519}); err != nil {
			t.Fatal(err)
		}
		mine, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.KeyName = aws.String("me") })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := launch(t, client, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		key := d.open[*mine.InstanceId]
		if len(d.open) != 1 || key == "" {
			t.Fatalf("open are %v", d.open)
		}
		ids := []string{*mine.InstanceId}
		if _, err := client.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(d.open) != 0 {
			t.Errorf("open while it is stopped: %v", d.open)
		}
		// A key that came in at the first start stays, though EC2 has none left.
		if _, err := client.DeleteKeyPair(t.Context(), &ec2.DeleteKeyPairInput{KeyName: aws.String("me")}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d.open[*mine.InstanceId] != key {
			t.Errorf("open after its next start: %v", d.open)
		}
	})
}

func TestSecurityGroups(t *testing.T) {
	cloud(t, nil, func(t *testing.T, _ *Service, _ *fleet, client *ec2.Client) {
		create := &ec2.CreateSecurityGroupInput{GroupName: aws.String("packer"), Description: aws.String("temporary"), VpcId: aws.String(vpcID)}
		made, err := client.CreateSecurityGroup(t.Context(), create)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.CreateSecurityGroup(t.Context(), create)
		wantCode(t, err, "InvalidGroup.Duplicate")
		rule := &ec2.AuthorizeSecurityGroupIngressInput{GroupId: made.GroupId, IpPermissions: []types.IpPermission{{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
		}}}
		if _, err := client.AuthorizeSecurityGroupIngress(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
		_, err = client.AuthorizeSecurityGroupIngress(t.Context(), rule)
		wantCode(t, err, "InvalidPermission.Duplicate")
		found, err := client.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*made.GroupId}})
		if err != nil || *found.SecurityGroups[0].IpPermissions[0].FromPort != 22 {
			t.Errorf("%+v, %v", found, err)
		}
		i, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{*made.GroupId} })
		if err != nil || *i.SecurityGroups[0].GroupName != "packer" {
			t.Fatalf("%+v, %v", i, err)
		}
		remove := &ec2.DeleteSecurityGroupInput{GroupId: made.GroupId}
		_, err = client.DeleteSecurityGroup(t.Context(), remove)
		wantCode(t, err, "DependencyViolation")
		if _, err := client.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := client.DeleteSecurityGroup(t.Context(), remove); err != nil {
			t.Error(err)
		}
		_, err = client.DeleteSecurityGroup(t.Context(), remove)
		wantCode(t, err, "InvalidGroup.NotFound")
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{*made.GroupId} })
		wantCode(t, err, "InvalidGroup.NotFound")
	})
}

// commanding is a fleet whose machines run commands.
type commanding struct{ *fleet }

type commandable struct{ Process }

func (commandable) Command(context.Context, Command) (int, error) { return 0, nil }

func (c commanding) Start(ctx context.Context, m Machine) (Process, error) {
	p, err := c.fleet.Start(ctx, m)
	return commandable{p}, err
}
