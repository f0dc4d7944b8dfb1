// Command saramago runs the shared scenario with sarama at its default protocol level (Kafka 2.8).
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"corelane/conformance/scenario"
)

const patience = 30 * time.Second

type client struct {
	sarama sarama.Client
	admin  sarama.ClusterAdmin
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Metadata.AllowAutoTopicCreation = false
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	return config
}

func main() {
	scenario.Main(func(bootstrap string) (scenario.Client, error) {
		inner, err := sarama.NewClient([]string{bootstrap}, config())
		if err != nil {
			return nil, err
		}
		admin, err := sarama.NewClusterAdminFromClient(inner)
		return &client{inner, admin}, err
	})
}

func (c *client) Close() { _ = c.admin.Close() }

func (c *client) CreateTopic(topic string, partitions int, configs map[string]string) error {
	entries := map[string]*string{}
	for key, value := range configs {
		entries[key] = &value
	}
	return c.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1,
		ConfigEntries: entries}, false)
}

func (c *client) Topics() (map[string]int, error) {
	listed, err := c.admin.ListTopics()
	counts := map[string]int{}
	for name, topic := range listed {
		counts[name] = int(topic.NumPartitions)
	}
	return counts, err
}

func (c *client) UnknownTopic(topic string) error {
	_, err := c.sarama.Partitions(topic)
	return err
}

func (c *client) TopicConfig(topic string) (map[string]string, error) {
	entries, err := c.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	values := map[string]string{}
	for _, entry := range entries {
		values[entry.Name] = entry.Value
	}
	return values, err
}

func (c *client) CreatePartitions(topic string, total int) error {
	return c.admin.CreatePartitions(topic, int32(total), nil, false)
}

func (c *client) DeleteTopic(topic string) error { return c.admin.DeleteTopic(topic) }

func (c *client) DeleteRecords(topic string, partition int32, offset int64) error {
	return c.admin.DeleteRecords(topic, map[int32]int64{partition: offset})
}

func (c *client) brokers() []string {
	var addresses []string
	for _, broker := range c.sarama.Brokers() {
		addresses = append(addresses, broker.Addr())
	}
	return addresses
}

func (c *client) Produce(topic, codec string, round scenario.Round, records []scenario.Record) ([]scenario.Place, error) {
	settings := config()
	settings.Producer.RequiredAcks = map[string]sarama.RequiredAcks{
		"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}[round.Acks]
	if err := settings.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
		return nil, err
	}
	if round.Idempotent {
		settings.Producer.Idempotent = true
		settings.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(c.brokers(), settings)
	if err != nil {
		return nil, err
	}
	messages := make([]*sarama.ProducerMessage, len(records))
	for at, record := range records {
		messages[at] = &sarama.ProducerMessage{Topic: topic, Partition: record.Partition,
			Timestamp: time.UnixMilli(record.Timestamp)}
		if record.Key != nil {
			messages[at].Key = sarama.ByteEncoder(record.Key)
		}
		if record.Value != nil {
			messages[at].Value = sarama.ByteEncoder(record.Value)
		}
		for _, header := range record.Headers {
			messages[at].Headers = append(messages[at].Headers,
				sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
	}
	if err := producer.SendMessages(messages); err != nil {
		_ = producer.Close()
		var failed sarama.ProducerErrors
		if errors.As(err, &failed) {
			return nil, failed[0].Err
		}
		return nil, err
	}
	places := make([]scenario.Place, len(messages))
	for at, message := range messages {
		places[at] = scenario.Place{Partition: message.Partition, Offset: message.Offset}
	}
	return places, producer.Close()
}

func (c *client) offset(topic string, partition int32, time int64) (int64, error) {
	if err := c.sarama.RefreshMetadata(topic); err != nil {
		return 0, err
	}
	return c.sarama.GetOffset(topic, partition, time)
}

func (c *client) StartOffset(topic string, partition int32) (int64, error) {
	return c.offset(topic, partition, sarama.OffsetOldest)
}

func (c *client) EndOffset(topic string, partition int32) (int64, error) {
	return c.offset(topic, partition, sarama.OffsetNewest)
}

func (c *client) OffsetForTime(topic string, partition int32, timestamp int64) (*scenario.Found, error) {
	listed, err := c.admin.ListOffsets(map[string]map[int32]int64{topic: {partition: timestamp}}, nil)
	if err != nil {
		return nil, err
	}
	found := listed[topic][partition]
	if found == nil || found.Err != sarama.ErrNoError {
		return nil, fmt.Errorf("offset for time %d: %+v", timestamp, found)
	}
	if found.Offset < 0 {
		return nil, nil
	}
	return &scenario.Found{Offset: found.Offset, Timestamp: found.Timestamp}, nil
}

func collect(consumer sarama.PartitionConsumer, count int, limit time.Duration) ([]scenario.Record, error) {
	var records []scenario.Record
	deadline := time.After(limit)
	for len(records) < count {
		select {
		case message := <-consumer.Messages():
			read := scenario.Record{Partition: message.Partition, Offset: message.Offset, Key: message.Key,
				Value: message.Value, Timestamp: message.Timestamp.UnixMilli()}
			for _, header := range message.Headers {
				read.Headers = append(read.Headers, scenario.Header{Key: string(header.Key), Value: header.Value})
			}
			records = append(records, read)
		case err := <-consumer.Errors():
			return records, err.Err
		case <-deadline:
			return records, fmt.Errorf("%d of %d records in %v", len(records), count, limit)
		}
	}
	return records, nil
}

func (c *client) consume(topic string, partition int32, offset int64) (sarama.PartitionConsumer, func(), error) {
	consumer, err := sarama.NewConsumerFromClient(c.sarama)
	if err != nil {
		return nil, nil, err
	}
	one, err := consumer.ConsumePartition(topic, partition, offset)
	if err != nil {
		_ = consumer.Close()
		return nil, nil, err
	}
	return one, func() {
		_ = one.Close()
		_ = consumer.Close()
	}, nil
}

func (c *client) Read(topic string, partition int32, offset int64, count int) ([]scenario.Record, error) {
	if offset == scenario.Beginning {
		offset = sarama.OffsetOldest
	}
	consumer, done, err := c.consume(topic, partition, offset)
	if err != nil {
		return nil, err
	}
	defer done()
	return collect(consumer, count, patience)
}

func (c *client) Tail(topic string, partition int32, produce func() error, count int) ([]scenario.Record, error) {
	consumer, done, err := c.consume(topic, partition, sarama.OffsetNewest)
	if err != nil {
		return nil, err
	}
	defer done()
	if early, _ := collect(consumer, 1, 200*time.Millisecond); len(early) > 0 {
		return early, fmt.Errorf("a record before any was produced: %v", early)
	}
	if err := produce(); err != nil {
		return nil, err
	}
	return collect(consumer, count, patience)
}

func (c *client) IsOutOfRange(err error) bool { return errors.Is(err, sarama.ErrOffsetOutOfRange) }
func (c *client) IsUnknownTopic(err error) bool {
	return errors.Is(err, sarama.ErrUnknownTopicOrPartition)
}
func (c *client) IsTooLarge(err error) bool { return errors.Is(err, sarama.ErrMessageSizeTooLarge) }
