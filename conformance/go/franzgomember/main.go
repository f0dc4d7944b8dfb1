// Command franzgomember is a member of a consumer group in franz-go; see package member.
package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"corelane/conformance/member"
)

const (
	poll   = 100 * time.Millisecond
	commit = 30 * time.Second
)

var balancers = map[string]kgo.GroupBalancer{
	"range":              kgo.RangeBalancer(),
	"roundrobin":         kgo.RoundRobinBalancer(),
	"cooperative-sticky": kgo.CooperativeStickyBalancer(),
}

func main() {
	m := member.New()
	told := func(event string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.Partitions(event, partitions[m.Topic])
		}
	}
	options := []kgo.Opt{kgo.SeedBrokers(m.Bootstrap), kgo.ClientID(m.Name), kgo.ConsumerGroup(m.Group),
		kgo.ConsumeTopics(m.Topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsAssigned(told("assigned")),
		kgo.OnPartitionsRevoked(told("revoked")), kgo.OnPartitionsLost(told("lost"))}
	if m.Assignor != "" {
		options = append(options, kgo.Balancers(balancers[m.Assignor]))
	}
	if m.SessionMs != 0 {
		options = append(options, kgo.SessionTimeout(time.Duration(m.SessionMs)*time.Millisecond))
	}
	if m.Instance != "" {
		options = append(options, kgo.InstanceID(m.Instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		panic(err)
	}
	for !m.IsClosing() {
		obey(m, client)
		ctx, cancel := context.WithTimeout(context.Background(), poll)
		fetches := client.PollRecords(ctx, m.Batch)
		cancel()
		processed := read(m, fetches)
		if len(processed) > 0 {
			commitRecords(m, client, processed)
			m.Rest()
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	m.Say("closed", nil)
}

func obey(m *member.Member, client *kgo.Client) {
	for len(m.Orders) > 0 {
		order := <-m.Orders
		partitions := map[string][]int32{m.Topic: order.Partitions}
		switch order.Do {
		case "pause":
			client.PauseFetchPartitions(partitions)
		case "resume":
			client.ResumeFetchPartitions(partitions)
		case "seek":
			offsets := map[int32]kgo.EpochOffset{}
			for _, partition := range order.Partitions {
				offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: order.Offset}
			}
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{m.Topic: offsets})
		}
		m.Obeyed(order)
	}
}

// read prints what was fetched; of each partition's processed records it returns the last.
func read(m *member.Member, fetches kgo.Fetches) []*kgo.Record {
	var processed []*kgo.Record
	fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
		var offsets []int64
		var values []string
		for _, record := range fetched.Records {
			offsets, values = append(offsets, record.Offset), append(values, string(record.Value))
		}
		if count := m.Read(fetched.Partition, offsets, values); count > 0 {
			processed = append(processed, fetched.Records[count-1])
		}
	})
	return processed
}

func commitRecords(m *member.Member, client *kgo.Client, records []*kgo.Record) {
	ctx, cancel := context.WithTimeout(context.Background(), commit)
	defer cancel()
	if err := client.CommitRecords(ctx, records...); err != nil {
		m.Say("commit-failed", map[string]any{"why": err.Error()})
		return
	}
	committed := map[int32]int64{}
	for _, record := range records {
		committed[record.Partition] = record.Offset + 1
	}
	m.Say("committed", map[string]any{"offsets": committed})
}
