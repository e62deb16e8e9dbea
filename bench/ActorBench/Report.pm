# Writes what was measured: a Markdown table, JSON, and charts.
package ActorBench::Report;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';
use JSON::PP ();

use ActorBench::Server qw(progress);

our @EXPORT_OK = qw(write_report);

# Three digits that count, thousands in groups, and whole numbers whole.
sub number
{
	my $value = shift;

	return '' if !defined $value;
	if ($value != int $value)
	{
		return sprintf '%.3f', $value if $value < 1;
		return sprintf '%.2f', $value if $value < 10;
		return sprintf '%.1f', $value if $value < 100;
	}
	my $text = sprintf '%.0f', $value;
	1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;
	return $text;
}

# A number, and the 99th percentile where there is one.
sub measured
{
	my ($value, $p99) = @_;

	return number($value) . ' / ' . number($p99) if defined $p99;
	return number($value);
}

sub ratio
{
	my $row = shift;

	return sprintf '+ %.2f µs', $row->{extra} if defined $row->{extra};
	return '' if !defined $row->{ratio};
	return sprintf '%.2f × (%.2f–%.2f)', @$row{qw(ratio ratio_min ratio_max)};
}

sub met
{
	my $row = shift;

	return '' if !defined $row->{met};
	return ${ $row->{met} } ? 'yes' : 'no';
}

sub rows_as_markdown
{
	my @lines = (
		'| work | unit | actor | rival | rival is | ratio | target | met |',
		'| --- | --- | ---: | ---: | --- | ---: | --- | --- |');

	for my $row (@_)
	{
		my @cells = $row->{skipped}
		  ? ($row->{title}, '', "skipped: $row->{skipped}", '', '', '', '', '')
		  : (
			$row->{title}, $row->{unit}, measured(@$row{qw(ours p99)}), measured(@$row{qw(rival rival_p99)}),
			$row->{rival_name} // '', ratio($row), $row->{target} // '', met($row));

		push @lines, '| ' . join(' | ', @cells) . ' |';
	}
	return join "\n", @lines, '';
}

sub series_as_markdown
{
	my $series = shift;
	my @lines = @{ $series->{lines} };
	my %value;
	my @xs = map { $_->[0] } @{ $lines[0]{points} };
	my $text = "### $series->{title}\n\n";

	$text .= "![$series->{title}]($series->{id}.svg)\n\n" if $series->{chart};
	for my $i (0 .. $#lines)
	{
		$value{ $_->[0] }[$i] = $_->[1] for @{ $lines[$i]{points} };
	}
	$text .= '| ' . join(' | ', $series->{x}, map { "$_->{name}, $series->{y}" } @lines) . " |\n";
	$text .= '|' . ' ---: |' x (@lines + 1) . "\n";
	for my $x (@xs)
	{
		$text .= '| ' . join(' | ', number($x), map { number($value{$x}[$_]) } 0 .. $#lines) . " |\n";
	}
	return "$text\n";
}

sub report_as_markdown
{
	my $report = shift;
	my $machine = $report->{machine};
	my $text = "# Benchmark of actor $report->{version}\n\n";

	$text .= "Measured $report->{started_at} ($report->{mode}), $report->{scale}{rounds} rounds, "
	  . "PostgreSQL $machine->{postgresql}, $machine->{cores} cores ($machine->{cpu}), "
	  . "$machine->{memory_mb} MB of memory, load $machine->{load} at the start.\n\n";
	$text .= rows_as_markdown(@{ $report->{rows} }) . "\n" if @{ $report->{rows} };
	$text .= "Numbers are medians of the rounds; a ratio is the median of the ratios of each round, "
	  . "with the smallest and the largest.\n\n" if @{ $report->{rows} };
	$text .= "## How cost grows\n\n" if @{ $report->{growth} };
	$text .= series_as_markdown($_) for @{ $report->{growth} };
	$text .= "## Settings that are not the default\n\n```\n";
	$text .= "$_ = $report->{settings}{$_}\n" for sort keys %{ $report->{settings} };
	return "$text```\n";
}

# Draws a series with gnuplot; false if that is not there.
sub draw
{
	my ($series, $directory) = @_;
	my $plot = '';
	my $data = '';
	my $quote = sub { $_[0] =~ s/(["\\])/\\$1/gr };

	$plot .= "set terminal svg size 720,420 dynamic font 'sans,13' background '#ffffff'\n";
	$plot .= "set output \"$directory/$series->{id}.svg\"\n";
	$plot .= 'set title "' . $quote->($series->{title}) . "\" noenhanced\n";
	$plot .= 'set xlabel "' . $quote->($series->{x}) . "\"\nset ylabel \"" . $quote->($series->{y}) . "\"\n";
	$plot .= "set grid\nset key outside bottom center horizontal\nset offsets graph 0.02, graph 0.02\n";
	$plot .= "set logscale x\nset format x \"%.0s%c\"\n" if $series->{log_x};
	$plot .= $series->{log_y} ? "set logscale y\n" : "set yrange [0:*]\n";
	$plot .= 'plot ' . join(', ',
		map { '"-" using 1:2 with linespoints lw 2 pt 7 title "' . $quote->($_->{name}) . '" noenhanced' }
		  @{ $series->{lines} }) . "\n";
	for my $line (@{ $series->{lines} })
	{
		$data .= "$_->[0] $_->[1]\n" for @{ $line->{points} };
		$data .= "e\n";
	}
	open my $gnuplot, '|-:encoding(UTF-8)', 'gnuplot' or return 0;
	print $gnuplot $plot, $data;
	return close $gnuplot;
}

sub write_file
{
	my ($path, $text) = @_;

	open my $file, '>:encoding(UTF-8)', $path or die "could not write \"$path\": $!\n";
	print $file $text;
	close $file or die "could not write \"$path\": $!\n";
	return;
}

# Writes result.json, result.md and the charts into a folder; returns the text
# of result.md.
sub write_report
{
	my ($report, $directory) = @_;

	if (@{ $report->{growth} })
	{
		if (system('gnuplot --version >/dev/null 2>&1') == 0)
		{
			$_->{chart} = draw($_, $directory) ? 1 : 0 for @{ $report->{growth} };
		}
		else
		{
			progress('No charts: gnuplot is not installed (Debian package gnuplot-nox).');
		}
	}
	my $text = report_as_markdown($report);
	write_file("$directory/result.json", JSON::PP->new->ascii->pretty->canonical->encode($report));
	write_file("$directory/result.md", $text);
	return $text;
}

1;
