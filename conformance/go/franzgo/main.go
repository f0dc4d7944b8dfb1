// Command franzgo runs the shared scenario with franz-go, which prefers the newest version of every request.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"corelane/conformance/scenario"
)

const patience = 30 * time.Second

type client struct {
	bootstrap string
	kgo       *kgo.Client
	admin     *kadm.Client
}

func main() {
	scenario.Main(func(bootstrap string) (scenario.Client, error) {
		inner, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(50*time.Millisecond))
		if err != nil {
			return nil, err
		}
		return &client{bootstrap, inner, kadm.NewClient(inner)}, nil
	})
}

func (c *client) Close() { c.kgo.Close() }

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func (c *client) CreateTopic(topic string, partitions int, configs map[string]string) error {
	ctx, cancel := within()
	defer cancel()
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = kadm.StringPtr(value)
	}
	_, err := c.admin.CreateTopic(ctx, int32(partitions), 1, values, topic)
	return err
}

func (c *client) Topics() (map[string]int, error) {
	ctx, cancel := within()
	defer cancel()
	listed, err := c.admin.ListTopics(ctx)
	counts := map[string]int{}
	for name, topic := range listed {
		counts[name] = len(topic.Partitions)
	}
	return counts, err
}

func (c *client) UnknownTopic(topic string) error {
	ctx, cancel := within()
	defer cancel()
	listed, err := c.admin.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	return listed[topic].Err
}

func (c *client) TopicConfig(topic string) (map[string]string, error) {
	ctx, cancel := within()
	defer cancel()
	described, err := c.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	resource, err := described.On(topic, nil)
	values := map[string]string{}
	for _, config := range resource.Configs {
		values[config.Key] = config.MaybeValue()
	}
	return values, errors.Join(err, resource.Err)
}

func (c *client) CreatePartitions(topic string, total int) error {
	ctx, cancel := within()
	defer cancel()
	responses, err := c.admin.UpdatePartitions(ctx, total, topic)
	return errors.Join(err, responses.Error())
}

func (c *client) DeleteTopic(topic string) error {
	ctx, cancel := within()
	defer cancel()
	response, err := c.admin.DeleteTopic(ctx, topic)
	return errors.Join(err, response.Err)
}

func (c *client) DeleteRecords(topic string, partition int32, offset int64) error {
	ctx, cancel := within()
	defer cancel()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	responses, err := c.admin.DeleteRecords(ctx, offsets)
	return errors.Join(err, responses.Error())
}

func codecOf(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func (c *client) Produce(topic, codec string, round scenario.Round, records []scenario.Record) ([]scenario.Place, error) {
	options := []kgo.Opt{kgo.SeedBrokers(c.bootstrap), kgo.ProducerBatchCompression(codecOf(codec)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(20 * time.Millisecond),
		kgo.RequiredAcks(map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}[round.Acks])}
	if !round.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	producer, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	sent := make([]*kgo.Record, len(records))
	for at, record := range records {
		sent[at] = &kgo.Record{Topic: topic, Partition: record.Partition, Key: record.Key, Value: record.Value,
			Timestamp: time.UnixMilli(record.Timestamp)}
		for _, header := range record.Headers {
			sent[at].Headers = append(sent[at].Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
	}
	ctx, cancel := within()
	defer cancel()
	if err := producer.ProduceSync(ctx, sent...).FirstErr(); err != nil {
		return nil, err
	}
	places := make([]scenario.Place, len(sent))
	for at, record := range sent {
		places[at] = scenario.Place{Partition: record.Partition, Offset: record.Offset}
	}
	return places, nil
}

func one(listed kadm.ListedOffsets, err error, topic string, partition int32) (kadm.ListedOffset, error) {
	if err != nil {
		return kadm.ListedOffset{}, err
	}
	offset, found := listed.Lookup(topic, partition)
	if !found {
		return offset, fmt.Errorf("no offset for %s-%d", topic, partition)
	}
	return offset, offset.Err
}

func (c *client) StartOffset(topic string, partition int32) (int64, error) {
	ctx, cancel := within()
	defer cancel()
	listed, err := c.admin.ListStartOffsets(ctx, topic)
	offset, err := one(listed, err, topic, partition)
	return offset.Offset, err
}

func (c *client) EndOffset(topic string, partition int32) (int64, error) {
	ctx, cancel := within()
	defer cancel()
	listed, err := c.admin.ListEndOffsets(ctx, topic)
	offset, err := one(listed, err, topic, partition)
	return offset.Offset, err
}

func (c *client) OffsetForTime(topic string, partition int32, timestamp int64) (*scenario.Found, error) {
	ctx, cancel := within()
	defer cancel()
	listed, err := c.admin.ListOffsetsAfterMilli(ctx, timestamp, topic)
	offset, err := one(listed, err, topic, partition)
	// kadm turns "none" into the end offset, which has no timestamp.
	if err != nil || offset.Timestamp < 0 {
		return nil, err
	}
	return &scenario.Found{Offset: offset.Offset, Timestamp: offset.Timestamp}, nil
}

func (c *client) consumer(topic string, partition int32, offset kgo.Offset) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(c.bootstrap), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: offset}}))
}

func poll(ctx context.Context, consumer *kgo.Client, count int) ([]scenario.Record, error) {
	var records []scenario.Record
	for len(records) < count {
		fetches := consumer.PollRecords(ctx, count-len(records))
		if err := fetches.Err(); err != nil {
			return records, err
		}
		for _, record := range fetches.Records() {
			read := scenario.Record{Partition: record.Partition, Offset: record.Offset, Key: record.Key,
				Value: record.Value, Timestamp: record.Timestamp.UnixMilli()}
			for _, header := range record.Headers {
				read.Headers = append(read.Headers, scenario.Header{Key: header.Key, Value: header.Value})
			}
			records = append(records, read)
		}
	}
	return records, nil
}

func (c *client) Read(topic string, partition int32, offset int64, count int) ([]scenario.Record, error) {
	start := kgo.NewOffset().At(offset)
	if offset == scenario.Beginning {
		start = kgo.NewOffset().AtStart()
	}
	consumer, err := c.consumer(topic, partition, start)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	ctx, cancel := within()
	defer cancel()
	return poll(ctx, consumer, count)
}

func (c *client) Tail(topic string, partition int32, produce func() error, count int) ([]scenario.Record, error) {
	consumer, err := c.consumer(topic, partition, kgo.NewOffset().AtEnd())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	// A first poll makes it take its place; nothing may come.
	early, cancelEarly := context.WithTimeout(context.Background(), time.Second)
	defer cancelEarly()
	if records, err := poll(early, consumer, 1); !errors.Is(err, context.DeadlineExceeded) {
		return records, fmt.Errorf("a record before any was produced: %v, %w", records, err)
	}
	if err := produce(); err != nil {
		return nil, err
	}
	ctx, cancel := within()
	defer cancel()
	return poll(ctx, consumer, count)
}

func (c *client) IsOutOfRange(err error) bool   { return errors.Is(err, kerr.OffsetOutOfRange) }
func (c *client) IsUnknownTopic(err error) bool { return errors.Is(err, kerr.UnknownTopicOrPartition) }
func (c *client) IsTooLarge(err error) bool     { return errors.Is(err, kerr.MessageTooLarge) }
