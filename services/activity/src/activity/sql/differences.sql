-- Rows up to a number ($3) that one of two builds ($1, $2) has and the other has not: how many, and from which number on.
select count(*) as rows, min(number) as first from (
    (
        select {columns} from projections.{part} where build = $1 and number <= $3
        except all
        select {columns} from projections.{part} where build = $2 and number <= $3
    ) union all (
        select {columns} from projections.{part} where build = $2 and number <= $3
        except all
        select {columns} from projections.{part} where build = $1 and number <= $3
    )
) different
